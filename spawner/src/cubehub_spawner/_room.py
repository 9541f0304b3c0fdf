"""Room in a home: its hard limit, and what is done where there is none left."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Any as AnyTrait
from traitlets import HasTraits, Int

from cubehub_spawner import _rescue, uids
from cubehub_spawner._folders import remove_folder
from cubehub_spawner.isolation import HOME_INSIDE, isolate, python_paths

if TYPE_CHECKING:
    import logging

    from cubehub_spawner.entitlement import Grant
    from cubehub_spawner.isolation import Isolation
    from cubehub_spawner.notices import Board

_PATIENCE_S = 30
_TMP_INSIDE = Path("/tmp")  # noqa: S108 - the server's own
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in it is made by mkdtemp


class Room(HasTraits):
    """Mixin: sets a home's limit, and starts a small server where the home is full.

    Notes
    -----
    Nothing here keeps a server from starting: without a limit the disk is shared as before, and a home of which nobody
    knows whether it is full counts as one with room.
    """

    if TYPE_CHECKING:
        log: logging.Logger
        board: Board
        lab_prefix: str
        read_only_paths: list[str]
        granted_storage: int
        rescue: bool
        uid: int

        @property
        def home(self) -> Path: ...
        @property
        def run_dir(self) -> Path: ...
        def isolation_here(self) -> Isolation: ...
        def take(self, grant: Grant) -> None: ...

    home_limits = AnyTrait(
        help="""Sets hard limits of homes: an object with `make(home)`, which makes a new home, and
        `limit(home, limit_bytes)`. Both may raise anything: it is logged, and the server starts."""
    ).tag(config=True)

    rescue_memory = Int(
        _rescue.MEMORY_BYTES,
        min=0,
        help="RAM in bytes of a server whose home is full, at most what the person may have; 0 for all of that.",
    ).tag(config=True)

    rescue_tmp = ""
    """In place of its folder for temporary files: a folder in memory; empty where it has the usual one."""

    def make_home(self) -> None:
        """Make a new home, in the way that its limit needs."""
        if self.home_limits is not None and not os.path.lexists(self.home):
            try:
                self.home_limits.make(self.home)
            except Exception as error:  # noqa: BLE001 - whatever it is, see the class
                self.log.warning("%s is made without a limit: %s", self.home, error)
        self.home.mkdir(mode=0o700, exist_ok=True)

    def limit_home(self) -> None:
        """Bring the home's limit to the profile's."""
        if self.home_limits is None or not self.granted_storage:
            return
        try:
            self.home_limits.limit(self.home, self.granted_storage)
        except Exception as error:  # noqa: BLE001 - as above
            self.log.warning("The limit of %s is not set: %s", self.home, error)

    def look_for_room(self) -> int:
        """Try, as the server would, whether anything can be written into the home."""
        isolation = self.isolation_here()
        inside = isolation.kind == "bubblewrap"
        prefix = self.lab_prefix or sys.prefix
        home, tmp = (HOME_INSIDE, _TMP_INSIDE) if inside else (self.home, self.run_dir / "tmp")
        command = _rescue.trial_command(Path(prefix) / "bin" / "python", home, tmp)
        if inside:
            command = isolate(
                command,
                read_only=[*python_paths(prefix), *self.read_only_paths],
                binds={self.home: HOME_INSIDE},
                tmp=self.run_dir / "tmp",
                program=isolation.program,
                disables_userns=isolation.disables_userns,
                die_with_parent=True,
            )
        elif isolation.kind == "uid":
            command = uids.drop_command(self.uid, command)
        try:
            tried = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                timeout=_PATIENCE_S,
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self.log.warning("Nobody knows whether %s is full: %s", self.home, error)
            return _rescue.HAS_ROOM
        if tried.returncode not in {_rescue.HAS_ROOM, _rescue.HOME_FULL, _rescue.ALL_FULL}:
            said = (tried.stderr.strip().splitlines() or [f"status {tried.returncode}"])[-1][:200]
            self.log.warning("Nobody knows whether %s is full: %s", self.home, said)
            return _rescue.HAS_ROOM
        return tried.returncode

    async def make_room(self, grant: Grant) -> Grant:
        """Look for room; give what the server gets: the grant, or less of it for a rescue, which the person is told."""
        await asyncio.to_thread(self.end_rescue)  # what a start before this one may have left
        found = await asyncio.to_thread(self.look_for_room)
        self.rescue = found != _rescue.HAS_ROOM
        if not self.rescue:
            return grant
        if found == _rescue.ALL_FULL:
            await asyncio.to_thread(self._tmp_in_memory)
        small = replace(grant, memory_bytes=min(grant.memory_bytes, self.rescue_memory or grant.memory_bytes))
        self.take(small)
        self.board.say(datetime.now(UTC), "warning", "home_full", _rescue.MESSAGE, _rescue.HINT)
        self.log.warning("%s is full: its server starts small, to make room", self.home)
        return small

    def _tmp_in_memory(self) -> None:
        """Give the server temporary files in memory, where its disk has no room for those either."""
        try:
            self.rescue_tmp = tempfile.mkdtemp(prefix="cubehub-rescue-", dir=_IN_MEMORY)
            if os.geteuid() == 0:
                os.chown(self.rescue_tmp, self.uid, self.uid)
        except OSError as error:
            self.log.warning("There is no room for the server's own files either: %s", error)

    @property
    def tmp(self) -> Path:
        """The server's folder for temporary files, as seen from outside."""
        return Path(self.rescue_tmp) if self.rescue_tmp else self.run_dir / "tmp"

    def rescue_env(self, tmp: Path, home: Path) -> dict[str, str]:
        """Write what a rescue adds to the server's environment; folders as it sees them."""
        return _rescue.rescue_environment(tmp / "rescue", home) if self.rescue else {}

    def rescue_state(self) -> dict[str, Any]:
        """Write what a restarted Hub must know of it."""
        return {"rescue": True, "rescue_tmp": self.rescue_tmp} if self.rescue else {}

    def load_rescue_state(self, state: dict[str, Any]) -> None:
        """Read it back."""
        self.rescue, self.rescue_tmp = bool(state.get("rescue")), state.get("rescue_tmp", "")

    def end_rescue(self) -> None:
        """Remove what was in memory."""
        if self.rescue_tmp and Path(self.rescue_tmp).parent == _IN_MEMORY:
            try:
                remove_folder(Path(self.rescue_tmp))
            except OSError as error:
                self.log.warning("What is left of a rescue: %s", error)
        self.rescue, self.rescue_tmp = False, ""
