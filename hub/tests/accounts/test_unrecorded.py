"""What only takes away is done even where it can't be written down; what gives is not."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cubehub.accounts.actions import Actions
from cubehub.accounts.errors import AuditError
from cubehub.accounts.people import Person

PROFILES = """
profiles:
  standard: {title: Standard, groups: [/cubehub/standard], memory: 5G, cpu: 2, storage: 10G}
  premium: {title: Premium, groups: [/cubehub/premium], memory: 10G, cpu: 4, storage: 50G}
"""


class Recorder:
    """Stands for Keycloak and the Hub: remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def find(self, name: str, granting: frozenset[str]) -> Person:
        del granting
        return Person("id-1", name, enabled=True, groups=frozenset({"/cubehub/standard"}))

    async def suspend(self, who: Person, reason: str) -> None:
        self.told.append(f"suspended {who.username}: {reason}")

    async def move(self, who: Person, *_more: object) -> None:
        self.told.append(f"moved {who.username}")

    async def end_sessions(self, account: str) -> None:
        self.told.append(f"ended {account}")

    async def apply(self, name: str) -> dict[str, Any]:
        self.told.append(f"applied {name}")
        return {"access": "granted"}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def actions(tmp_path: Path, recorder: Recorder) -> Actions:
    (tmp_path / "profiles.yaml").write_text(PROFILES)
    gateway: Any = SimpleNamespace()
    return Actions(
        recorder, recorder, gateway, tmp_path / "profiles.yaml", tmp_path / "full" / "audit.jsonl"  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture
def full_disk(tmp_path: Path) -> Path:
    """A file where the audit log's folder would be, so that nobody, root neither, can write it."""
    (tmp_path / "full").write_text("")
    return tmp_path / "full"


def test_who_fills_the_disk_is_not_safe_from_suspension(
    actions: Actions, recorder: Recorder, full_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reached = asyncio.run(actions.suspend("ana", "mines coins", "adam"))
    assert recorder.told == ["suspended ana: mines coins", "ended id-1", "applied ana"]
    (problem,) = reached.problems
    assert problem["code"] == "not_recorded"
    assert str(full_disk) in problem["message"]
    assert "mines coins" in caplog.text, "what the record lacks stands in the log"
    assert "adam" in caplog.text


def test_nothing_is_given_that_cannot_be_written_down(
    actions: Actions, recorder: Recorder, full_disk: Path
) -> None:
    del full_disk
    with pytest.raises(AuditError):
        asyncio.run(actions.move("ana", "premium", None, "adam"))
    assert recorder.told == []


def test_a_broken_profiles_file_keeps_nobody_from_being_suspended(
    actions: Actions, recorder: Recorder, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "profiles.yaml").write_text("profiles: [")
    reached = asyncio.run(actions.suspend("ana", "left", "adam"))
    assert reached.problems == []
    assert recorder.told[0] == "suspended ana: left"
    assert '"suspend"' in (tmp_path / "full" / "audit.jsonl").read_text()
