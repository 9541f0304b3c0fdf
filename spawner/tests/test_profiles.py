from pathlib import Path

import pytest
from cubehub_spawner import ProfileFileError, load_profiles
from cubehub_spawner.profiles import parse_bytes
from jupyterhub.traitlets import ByteSpecification

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "profiles.yaml"


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


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ProfileFileError, match="No such file"):
        load_profiles(tmp_path / "none.yaml")
