"""What the hub takes from the list of cubes: above all, which of them everyone may hear of."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cubehub.cube_list import check_cubes, cube_rows, public_items
from cubehub.errors import BadInputError


@pytest.mark.parametrize(
    "access", ["account", "owner", "[/cubehub/premium]", "[]", "null", "Public", "[public]", None]
)
def test_only_what_is_said_to_be_public_is_told_to_everyone(tmp_path: Path, access: str | None) -> None:
    listed = tmp_path / "cubes.yaml"
    rule = "" if access is None else f", access: {access}"
    listed.write_text(f"cubes: [{{id: open, access: public}}, {{id: closed, owner: ana{rule}}}]")
    assert public_items(listed, tmp_path) == [str(tmp_path / "open.item.json")]
    assert [bool(row["public"]) for row in cube_rows(listed)] == [True, False]


def test_a_list_that_cannot_be_read_opens_nothing(tmp_path: Path) -> None:
    listed = tmp_path / "cubes.yaml"
    assert public_items(listed, tmp_path) == []
    listed.write_text("cubes: [")
    assert public_items(listed, tmp_path) == []


def test_what_the_cubes_own_reader_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader itself is tested with the cube server; here it is a stand-in that speaks as it does."""
    package = tmp_path / "xcube_cubehub"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "check.py").write_text(
        "import sys\nbad = 'bad' in open(sys.argv[1]).read()\n"
        "sys.stderr.write('cubes.lake.access: wrong\\ncorrect the file\\n' if bad else '')\nsys.exit(2 if bad else 0)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    listed = tmp_path / "cubes.yaml"
    listed.write_text("good")
    check_cubes(Path(sys.executable), listed)
    listed.write_text("bad")
    with pytest.raises(BadInputError, match=r"cubes\.lake\.access: wrong") as told:
        check_cubes(Path(sys.executable), listed)
    assert told.value.hint == "correct the file"
