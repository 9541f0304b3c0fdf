from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from cubehub.errors import BadInputError, CubeHubError
from cubehub.local.preflight import GIB, check_room


@pytest.mark.parametrize(
    ("memory", "disk", "first", "code"),
    [
        (1, 100, False, "too_little_memory"),
        (8, 3, True, "too_little_disk"),
        (8, 0.1, False, "too_little_disk"),
        (8, 3, False, None),
        (8, 100, True, None),
    ],
)
def test_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, memory: float, disk: float, first: bool, code: str | None
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=memory * GIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=disk * GIB))
    if code is None:
        check_room(tmp_path / "new" / "er", first=first)
        return
    with pytest.raises(CubeHubError) as caught:
        check_room(tmp_path / "new" / "er", first=first)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_folder_that_cannot_be_looked_at_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 * GIB))
    monkeypatch.setattr(shutil, "disk_usage", closed)
    with pytest.raises(BadInputError, match="Permission denied"):
        check_room(Path("/closed/x"), first=True)
