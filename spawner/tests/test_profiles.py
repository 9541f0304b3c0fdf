import re
from pathlib import Path

import pytest
import yaml
from cubehub_spawner import ProfileFileError, load_profiles
from cubehub_spawner.profiles import json_schema, parse_bytes
from jsonschema import Draft202012Validator
from jupyterhub.traitlets import ByteSpecification

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config" / "profiles.yaml"
SCHEMA = ROOT / "docs" / "reference" / "profiles.schema.json"


def test_shipped_file():
    profiles = load_profiles(SHIPPED).profiles
    assert [(p.name, p.memory, p.cpu, p.storage) for p in profiles.values()] == [
        ("standard", 5 * 2**30, 2, 10 * 2**30),
        ("premium", 10 * 2**30, 4, 50 * 2**30),
    ]
    assert (profiles["premium"].dask.clusters, profiles["premium"].dask.cores) == (2, 16)
    assert profiles["premium"].dask.memory == 64 * 2**30


def test_other_profiles_are_a_short_edit(tmp_path):
    file = tmp_path / "profiles.yaml"
    file.write_text(
        "profiles:\n"
        "  small: {title: Small, groups: [/p/s], memory: 8G, cpu: 2, storage: 10G}\n"
        "  medium: {title: Medium, groups: [/p/m], memory: 32G, cpu: 4, storage: 10G}\n"
        "  large: {title: Large, groups: [/p/l], memory: 64G, cpu: 8, storage: 10G}\n"
    )
    assert [p.memory // 2**30 for p in load_profiles(file).profiles.values()] == [8, 32, 64]


@pytest.mark.parametrize(
    ("text", "size"), [("5G", 5 * 2**30), ("1.5G", 3 * 2**29), ("300M", 300 * 2**20), (7, 7), ("2K", 2048)]
)
def test_sizes_are_read_as_jupyterhub_reads_them(text, size):
    assert parse_bytes(text) == size
    assert ByteSpecification().validate(None, text) == size


GOOD = "profiles:\n  standard:\n    title: Standard\n    groups: [/cubehub/standard]\n    memory: 5G\n    cpu: 2\n    storage: 10G\n"


@pytest.mark.parametrize(
    ("text", "line", "value"),
    [
        (GOOD.replace("5G", "5 GB"), 5, "'5 GB'"),
        (GOOD.replace("5G", "0"), 5, "0"),
        (GOOD.replace("5G", "1K"), 5, "'1K'"),
        (GOOD.replace("5G", "99999999999999T"), 5, "than or equal to"),
        (GOOD.replace("10G", "2000T"), 7, "than or equal to"),
        (GOOD.replace("cpu: 2", "cpu: two"), 6, "'two'"),
        (GOOD + "    disk: 4G\n", 8, "'4G'"),
        (GOOD.replace("[/cubehub/standard]", "[]"), 4, "groups"),
        (GOOD.replace("standard:", "Standard one:", 1), 2, "Standard one"),
        ("profiles: {}\n", 1, "profiles"),
        ("profiles:\n  - a\n", 1, "['a']"),
        ("other: 1\n", 1, "profiles"),
        ("", 1, "None"),
        ("profiles: [\n", 2, "YAML"),
        (GOOD + "    memory: 10G\n", 8, "memory: stands here and in line 5 already"),
        (GOOD + GOOD.removeprefix("profiles:\n"), 8, "profiles.standard: stands here and in line 2 already"),
        (GOOD + "profiles: {}\n", 8, "profiles: stands here and in line 1 already"),
        (GOOD.replace("memory:", "memroy:"), 5, "there is no such key; did you mean memory?"),
        (GOOD + "    xyz: 1\n", 8, "there are title, groups, memory, cpu, storage, dask"),
        (GOOD + "    name: other\n", 8, "there is no such key"),
        (GOOD + "    groups_in_order: [/a]\n", 8, "there is no such key"),
        (GOOD + "    dask: {clutsers: 1}\n", 8, "did you mean clusters?"),
        (GOOD.replace("profiles:", "profile:"), 1, "profiles"),
        (GOOD.replace("cpu: 2", "cpu: .nan"), 6, "finite"),
        (GOOD.replace("cpu: 2", "cpu: .inf"), 6, "cpu"),
        (GOOD.replace("cpu: 2", "cpu: -1"), 6, "-1"),
        (GOOD.replace("cpu: 2", "cpu: true"), 6, "True"),
        (GOOD.replace("cpu: 2", "cpu: '2'"), 6, "'2'"),
        (GOOD + "    dask: {cores: .inf}\n", 8, "finite"),
        (GOOD + "    dask: {clusters: true}\n", 8, "True"),
        (GOOD + "    dask: {clusters: -1}\n", 8, "-1"),
        (GOOD + "    dask: {memory: -1G}\n", 8, "'-1G'"),
        (GOOD.replace("5G", "yes"), 5, "True"),
        (GOOD.replace("5G", "-5G"), 5, "'-5G'"),
        (GOOD.replace("5G", "-5"), 5, "-5"),
        (GOOD.replace("5G", "5.5"), 5, "5.5"),
        (GOOD.replace("5G", ".inf"), 5, "inf"),
        (GOOD.replace("5G", "5GB"), 5, "512M, 5G or 1T"),
        (GOOD.replace("5G", "'" + "9" * 400 + "T'"), 5, "999"),
        (GOOD.replace("5G", ""), 5, "None"),
        (GOOD.replace("[/cubehub/standard]", "[cubehub/standard]"), 4, "'cubehub/standard'"),
        (GOOD.replace("[/cubehub/standard]", "[/cubehub/standard/]"), 4, "'/cubehub/standard/'"),
        (GOOD.replace("[/cubehub/standard]", "[/]"), 4, "'/'"),
        (GOOD.replace("[/cubehub/standard]", "/cubehub/standard"), 4, "'/cubehub/standard'"),
        (GOOD.replace("[/cubehub/standard]", "[{a: b}]"), 4, "{'a': 'b'}"),
        (GOOD.replace("standard:", "1:", 1), 2, "1"),
        (GOOD.replace("standard:", "? [a]\n  :", 1), 2, "YAML"),
        (GOOD.replace("title: Standard", "title: !!python/object:os.system x"), 3, "YAML"),
        (GOOD.replace("title: Standard", "title: &a [*a]"), 3, "title"),
        ("profiles: &all {standard: *all}\n", 1, "standard"),
    ],
)
def test_errors_name_file_line_and_value(tmp_path, text, line, value):
    file = tmp_path / "profiles.yaml"
    file.write_text(text)
    with pytest.raises(ProfileFileError) as caught:
        load_profiles(file)
    assert str(file) in caught.value.message
    assert f"line {line}:" in caught.value.message
    assert value in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("5G", "9" * 5000),
        "profiles: " + "[" * 5000,
        "profiles: 2026-02-31\n",
        "\x00",
        "a: 1\n--- \nb: 1\n",
    ],
    ids=["digits", "deep", "date", "nul", "two documents"],
)
def test_whatever_stands_in_the_file_it_is_one_error(tmp_path, text):
    file = tmp_path / "profiles.yaml"
    file.write_text(text)
    with pytest.raises(ProfileFileError, match=re.escape(str(file))):
        load_profiles(file)


def test_what_is_no_text_says_so(tmp_path):
    (tmp_path / "profiles.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProfileFileError, match="UTF-8"):
        load_profiles(tmp_path / "profiles.yaml")


def test_profiles_may_share_what_they_have_in_common(tmp_path):
    file = tmp_path / "profiles.yaml"
    file.write_text(
        "profiles:\n"
        "  small: &base {title: Small, groups: [/p/s, /p/a, /p/s], memory: 8G, cpu: 2, storage: 10G}\n"
        "  large:\n"
        "    <<: *base\n"
        "    title: Large\n"
        "    memory: 64G\n"
    )
    small, large = load_profiles(file).profiles.values()
    assert (large.title, large.memory, large.cpu, large.groups) == ("Large", 64 * 2**30, 2, small.groups)
    file.write_text(file.read_text().replace("cpu: 2", "cpu: two"))
    with pytest.raises(ProfileFileError, match=r"line 2: .*'two'"):
        load_profiles(file)


def test_a_move_leads_into_the_first_group_of_the_file(tmp_path):
    file = tmp_path / "profiles.yaml"
    file.write_text(GOOD.replace("[/cubehub/standard]", "[/z, /a, /z, /m]"))
    profile = load_profiles(file).profiles["standard"]
    assert (profile.groups, profile.groups_in_order) == (frozenset({"/a", "/m", "/z"}), ("/z", "/a", "/m"))
    assert profile.home_group == "/z"


# ---- the schema that editors read ------------------------------------------------------------------------------------


def test_the_shipped_file_names_the_schema_and_keeps_to_it():
    first = SHIPPED.read_text().splitlines()[0]
    assert (SHIPPED.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve() == SCHEMA
    Draft202012Validator.check_schema(json_schema())
    Draft202012Validator(json_schema()).validate(yaml.safe_load(SHIPPED.read_text()))


@pytest.mark.parametrize(
    "size", ["5G", "1.5G", "300M", " 5 G ", 2**30, "1073741825", "5GB", "-5G", True, 5.5, None, 7, 2**60, ""]
)
def test_schema_and_code_take_the_same_sizes(tmp_path, size):
    """Bounds of a size that is written as text are the code's alone."""
    entry = {"title": "S", "groups": ["/s"], "memory": size, "cpu": 1, "storage": 1}
    content = {"profiles": {"small": entry}}
    file = tmp_path / "profiles.yaml"
    file.write_text(yaml.safe_dump(content))
    try:
        load_profiles(file)
        taken = True
    except ProfileFileError:
        taken = False
    assert Draft202012Validator(json_schema()).is_valid(content) == taken


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ProfileFileError, match="No such file"):
        load_profiles(tmp_path / "none.yaml")
