"""Somebody whose home was put away logs in again: it comes back before their server starts."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub_spawner.errors import SpawnerError

from cubehub.errors import CubeHubError
from cubehub.storage import journal, starting
from cubehub.storage.keeping import Keeping
from cubehub.storage.kinds import ASKED
from cubehub.storage.settings import settings_of
from cubehub.storage.whose import account_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.local.data_folder import DataFolder
    from cubehub.storage.settings import StorageSettings

_ARCHIVED = "Your earlier home was archived, because you had not been here for long. This one is new; that one can be brought back."
_BRING_BACK = "Bring it back: View, What Fills My Home, Moved away."
_PATIENCE_S = 45.0
"""For so long a start waits for a run of the keeper to end."""


class HomeAwayError(SpawnerError):
    """The home is in quarantine and could not be brought back now: with an empty one, people would think all is lost."""

    code = "home_away"
    default_message = (
        "Your home was put away because nobody used it for long, and could not be brought back just now."
    )
    default_hint = (
        "Nothing is lost. Try again in a few minutes; if it happens again, tell your administrator."
    )


def homecoming(folder: DataFolder) -> Callable[[Any], None]:
    """Hook for `ProfileLocalSpawner.homecoming_hook`."""

    def hook(spawner: Any) -> None:
        home = Path(spawner.home)
        try:
            settings = settings_of(folder, home.parent)
            if bring_home(settings, home):
                spawner.log.info("the home of %s is back from quarantine", spawner.user.name)
            elif not os.path.lexists(home) and is_archived(settings, home):
                # what was given to the earlier home is not in this one
                home.with_name(f".{home.name}.examples").unlink(missing_ok=True)
                spawner.board.say(datetime.now(UTC), "warning", "home_archived", _ARCHIVED, _BRING_BACK)
        except (CubeHubError, OSError) as error:
            logging.getLogger("cubehub.storage").warning("the home %s is not back: %s", home.name, error)
            raise HomeAwayError from error

    return hook


def _is_home(move: journal.Move, name: bytes, account: str | None) -> bool:
    """Whether a move is of somebody's home as a whole, and not at their wish: who asked to be forgotten is."""
    return move.home == name and not move.path and move.account in {None, account} and move.kind not in ASKED


def is_archived(settings: StorageSettings, home: Path) -> bool:
    """Whether an earlier home of somebody is in its archive only."""
    name = os.fsencode(home.name)
    account = account_of(home.parent, name)
    there = journal.read(settings.state, journal.PURGED)
    return any(move.restorable and _is_home(move, name, account) for move in there)


def bring_home(settings: StorageSettings, home: Path) -> bool:
    """Put a home back that is in quarantine as a whole; whether there was one.

    Notes
    -----
    One that is only in its archive stays there: it may be large, and is offered in Lab instead.

    Raises
    ------
    CubeHubError
        It is in quarantine, and cannot be put back now.
    """
    name = os.fsencode(home.name)
    # before it is looked whether it is there: the keeper may be about to move it
    starting.note(home.parent, name, _PATIENCE_S)
    if os.path.lexists(home):
        return False
    account = account_of(home.parent, name)

    def is_it(move: journal.Move) -> bool:
        return _is_home(move, name, account)

    until = time.monotonic() + _PATIENCE_S
    while any(
        is_it(move)
        for move in journal.read(
            settings.state, *journal.IN_QUARANTINE, journal.INTENDED, journal.ARCHIVING, journal.RETURNING
        )
    ):
        keeping = Keeping(settings, who="a start of their server")
        try:
            with keeping.keeper() as (keeper, made):
                # of other homes archives may be written meanwhile; one of this home gives way
                made.free(name, max(0.0, until - time.monotonic()))
                wanted = [move for move in made.moves(*journal.IN_QUARANTINE) if is_it(move)]
                # of several, the last: it has what came after the others
                done = [keeper.put_back(move) for move in wanted[-1:]]
        except CubeHubError as error:
            if error.code != "busy" or time.monotonic() > until:
                raise
            time.sleep(0.5)
            continue
        keeping.note("restore", done)
        if done and done[0].why:
            raise CubeHubError(f"It cannot be put back: {done[0].why}.", "")
        return bool(done)
    return False
