"""Somebody whose home was put away logs in again: it comes back before their server starts."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub_spawner.errors import SpawnerError

from cubehub.errors import CubeHubError
from cubehub.storage import journal, starting
from cubehub.storage.keeping import Keeping
from cubehub.storage.settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.local.data_folder import DataFolder
    from cubehub.storage.settings import StorageSettings

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


def account_of(homes: Path, home: bytes) -> str | None:
    """The account that a home is noted to be of; None where that was never noted."""
    try:
        return (homes / f".{os.fsdecode(home)}.account").read_text(encoding="utf-8") or None
    except FileNotFoundError:
        return None


def homecoming(folder: DataFolder) -> Callable[[Any], None]:
    """Hook for `ProfileLocalSpawner.homecoming_hook`."""

    def hook(spawner: Any) -> None:
        home = Path(spawner.home)
        try:
            settings = settings_of(folder, home.parent)
            if bring_home(settings, home):
                spawner.log.info("the home of %s is back from quarantine", spawner.user.name)
        except (CubeHubError, OSError) as error:
            logging.getLogger("cubehub.storage").warning("the home %s is not back: %s", home.name, error)
            raise HomeAwayError from error

    return hook


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
        return move.home == name and not move.path and move.account in {None, account}

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
