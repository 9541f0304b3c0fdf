from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub.errors import BadInputError
from cubehub.local.up import check_config
from cubehub.resources import resource
from cubehub.settings import ConfigFolder, IdleSettings, OperatorSettings
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def written(folder: Path, text: str) -> ConfigFolder:
    (folder / "cubehub.yaml").write_text(text)
    return ConfigFolder(folder)


@given(st.integers(1, 3650), st.sampled_from("smhd"), st.sampled_from(["", " "]))
def test_a_duration_is_read_in_its_unit(count: int, unit: str, gap: str) -> None:
    assert IdleSettings(stop_after=f"{count}{gap}{unit}").stop_after == count * SECONDS[unit]


@pytest.mark.parametrize(
    "value", [90, "1.5h", "-3m", "", "2w", "m", None, True, "0s", "1h30m", [1], "3651d", "9" * 30 + "d"]
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        IdleSettings.model_validate({"stop_after": value})


def test_the_shipped_file_says_the_defaults() -> None:
    assert ConfigFolder(None).operator_settings() == OperatorSettings()


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert written(tmp_path, "# nothing\n").operator_settings() == OperatorSettings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("idle: {stopp_after: 2h}", ["idle.stopp_after", "no such key", "2h"]),
        ("colour: blue", ["colour", "no such key", "blue"]),
        ("idle: {stop_after: 90}", ["idle.stop_after", "90", "such as 90m"]),
        ("demo_accounts: perhaps", ["demo_accounts", "perhaps"]),
        ("[1, 2]", ["the file", "[1, 2]"]),
        ("0", ["the file", "0"]),
        ("title: [unclosed", ["not valid YAML", "line"]),
    ],
)
def test_a_mistake_names_file_key_and_value(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(BadInputError) as caught:
        written(tmp_path, text).operator_settings()
    for word in [str(tmp_path / "cubehub.yaml"), *words]:
        assert word in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_status == 2


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cubehub.yaml").write_bytes(b"title: \xff\xfe")
    with pytest.raises(BadInputError, match="cannot be read"):
        ConfigFolder(tmp_path).operator_settings()


def test_own_files_lie_over_the_shipped_ones(tmp_path: Path) -> None:
    folder = written(tmp_path, "title: Estonian hub\n")
    assert folder.path("cubehub.yaml") == tmp_path / "cubehub.yaml"
    assert folder.path("profiles.yaml") == resource("config", "profiles.yaml")
    assert folder.operator_settings().title == "Estonian hub"
    assert folder.operator_settings().spawn_timeout == 120


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("cubes.yaml", "cubes: []\na: [\n", "line"),
        ("catalogues.yaml", "a: [", "line"),
        ("realm.json", '{\n"a": }', "line 2"),
        ("jupyterhub_config.py", "c = 1\ndef (", "line 2"),
        ("dask_gateway_config.py", "\0", "null bytes"),
    ],
)
def test_any_broken_file_of_the_operator_is_told_before_anything_starts(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "notes.txt").write_text("a: [")
    with pytest.raises(BadInputError, match=name) as caught:
        check_config(ConfigFolder(tmp_path))
    assert words in caught.value.message
    (tmp_path / name).unlink()
    check_config(ConfigFolder(tmp_path))


def test_a_broken_profiles_file_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "profiles.yaml").write_text("profiles: {small: {title: Small, memory: lots}}\n")
    with pytest.raises(BadInputError) as caught:
        check_config(ConfigFolder(tmp_path))
    assert caught.value.code == "profile_file"
    assert str(tmp_path / "profiles.yaml") in caught.value.message
