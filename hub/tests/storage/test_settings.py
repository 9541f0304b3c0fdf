"""Settings that would make the keeper take its own things for somebody's home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub.errors import BadInputError
from cubehub.storage.settings import StorageSettings

if TYPE_CHECKING:
    from pathlib import Path


def settings(root: Path, to: str) -> StorageSettings:
    (root / "homes").mkdir()
    (root / "link").symlink_to("homes")
    (root / "config").mkdir()
    (root / "config" / "storage.yaml").write_text(f"archive: {{to: '{to}'}}\n")
    return StorageSettings(
        data=root,
        homes=root / "homes",
        state=root / "state",
        audit_log=root / "audit.jsonl",
        config=root / "config",
    )


@pytest.mark.parametrize(
    "to", ["homes", "homes/archive", "link/archive", "homes/ana/x", "elsewhere/../homes/x"]
)
def test_archives_among_the_homes_are_refused(tmp_path: Path, to: str) -> None:
    with pytest.raises(BadInputError, match="among the homes"):
        settings(tmp_path, f"{tmp_path}/{to}").policy()


@pytest.mark.parametrize("to", ["{}/archive", "{}/homes-archive", "s3://bucket/homes", ""])
def test_archives_elsewhere_are_not(tmp_path: Path, to: str) -> None:
    wanted = to.format(tmp_path)
    assert settings(tmp_path, wanted).policy().archive.to == wanted
