"""What the hub takes from the list of cubes: above all, which of them everyone may hear of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub.cube_list import cube_rows, public_items

if TYPE_CHECKING:
    from pathlib import Path


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
