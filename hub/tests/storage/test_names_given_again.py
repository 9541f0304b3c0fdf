"""A name is given to another account while the keeper works: nothing of the earlier one's becomes the new one's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cubehub.storage import journal
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper
from cubehub_spawner import _homes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cubehub.storage.quarantine import Outcome


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    folder = tmp_path / "homes" / "ana" / ".cache" / "pip"
    folder.mkdir(parents=True)
    (folder / "a").write_text("of the first")
    os.utime(folder / "a", (1, 1))
    _homes.claim(tmp_path / "homes" / "ana", "first")
    return tmp_path / "homes"


def given_to_another(homes: Path) -> None:
    """What the start of a server does for the new account."""
    _homes.claim(homes / "ana", "second")
    (homes / "ana").mkdir()


def do(
    homes: Path,
    act: Callable[[Keeper, journal.Journal], Outcome],
    step: Callable[[str], None] = lambda _: None,
) -> Outcome:
    with journal.opened(homes.parent / "state") as made:
        keeper = Keeper(homes, made, lambda *_: "", step)
        try:
            return act(keeper, made)
        finally:
            keeper.close()


def away(homes: Path, step: Callable[[str], None] = lambda _: None) -> Outcome:
    inode = (homes / "ana" / ".cache" / "pip").stat().st_ino
    entry = Entry(b"ana", b".cache/pip", "pip", 1, 1, 1, 100, inode)
    return do(homes, lambda keeper, made: keeper.quarantine(made.begin_run("", "", 0), entry), step)


def test_what_is_looked_through_meanwhile_stays_the_first_ones(homes: Path) -> None:
    done = away(homes, lambda name: given_to_another(homes) if name == "checked" else None)
    assert done.why == ""
    (made,) = journal.read(homes.parent / "state", journal.QUARANTINED)
    assert made.account == "first"


def test_what_comes_back_meanwhile_does_not_come_to_the_second(
    homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert away(homes).why == ""
    check = Keeper.check_account
    said: list[str] = []

    def checked(keeper: Keeper, made: journal.Move) -> None:
        check(keeper, made)
        if not said:
            said.append("first")
            given_to_another(homes)

    monkeypatch.setattr(Keeper, "check_account", checked)
    done = do(homes, lambda keeper, made: keeper.put_back(made.moves(journal.QUARANTINED)[0]))
    assert done.why == "the home is another account's by now"
    assert list((homes / "ana").iterdir()) == []
