"""Where a server of this machine lives: its folders, whose they are, and who else gets in."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Bool, HasTraits, Int, List, TraitError, Unicode, default, validate

from cubehub_spawner import _homes, uids
from cubehub_spawner.errors import AnotherAccountError, NotIsolatedError, SpawnerError
from cubehub_spawner.isolation import Isolation, probe_isolation, probe_uid, uid_reaches
from cubehub_spawner.names import group_name, home_name

if TYPE_CHECKING:
    import logging

IN_THE_LOG = "Your administrator finds the reason in the Hub's log."
_KINDS = ("auto", "required", "bubblewrap", "uid", "none")
_claiming = threading.Lock()
"""Of two people who start at once, one must see the other's home."""


class Places(HasTraits):
    """Mixin: the folders of a server, and how it is kept to them."""

    if TYPE_CHECKING:
        log: logging.Logger
        user: Any
        name: str
        account_id: str
        lab_prefix: str

        homecoming_hook: Any

        def make_home(self) -> None: ...

    homes_dir = Unicode(
        help="Folder of the home folders, made 0700 (0711 where each person has a user id)."
    ).tag(config=True)

    state_dir = Unicode(
        help="Folder for what a running server needs beside its home: its /tmp, its log. Not inside `homes_dir`."
    ).tag(config=True)

    isolation = Unicode(
        "auto",
        help="""How a server is kept to its home. `bubblewrap`: shut into it. `uid`: by a user id per person, which
        needs root. `required`: the better of the two that works here, or no server starts. `auto`: the same, and
        without it the servers of one person only. `none`: like `auto` where nothing works.""",
    ).tag(config=True)

    trust_everyone = Bool(
        help="Let several people have servers where nothing keeps them apart: everyone can read everyone's files."
    ).tag(config=True)

    uid_range = List(
        Int(),
        [uids.FIRST, uids.LAST],
        minlen=2,
        maxlen=2,
        help="First and last of the user ids that people get with `isolation` by `uid`. Nobody else may have these.",
    ).tag(config=True)

    uid = -1
    """User id that the server runs under; the Hub's own, except with isolation by `uid`."""

    @default("state_dir")
    def _default_state_dir(self) -> str:
        return str(Path(self.homes_dir).parent / "servers")

    @validate("isolation")
    def _check_isolation(self, proposal: dict[str, Any]) -> str:
        value: str = proposal["value"]
        if value not in _KINDS:
            raise TraitError(f"isolation={value!r}: write {', '.join(_KINDS[:-1])} or {_KINDS[-1]}")
        return value

    @validate("uid_range")
    def _check_uid_range(self, proposal: dict[str, Any]) -> list[int]:
        value: list[int] = proposal["value"]
        if not 1000 <= value[0] <= value[1] < 2**32 - 1:
            raise TraitError(f"uid_range={value!r}: write first and last, from 1000 on")
        return value

    @property
    def home(self) -> Path:
        """The person's home folder, as seen from outside."""
        return Path(self.homes_dir) / home_name(self.user.name)

    @property
    def group(self) -> str:
        """Name of this server's cgroup or unit."""
        return group_name(self.user.name, self.name, scope=str(Path(self.homes_dir).absolute()))

    @property
    def run_dir(self) -> Path:
        """What this server needs while it runs; removed when it stops."""
        return Path(self.state_dir) / "run" / self.group

    @property
    def log_file(self) -> Path:
        """What the server prints, begun anew at each start; not the Hub's own output, which may end before it."""
        return Path(self.state_dir) / "logs" / f"{self.group}.log"

    def isolation_here(self) -> Isolation:
        """Tell how this server is shut in.

        Raises
        ------
        SpawnerError
            When the setting demands what the machine can't do, or nobody knows whether it can.
        """
        if self.isolation == "none":
            return Isolation("none", "switched off by ProfileLocalSpawner.isolation")
        if self.isolation == "uid":
            found = probe_uid("not asked for", self.uid_range[0])
        else:
            found = probe_isolation()
        if found.kind == "uid":
            found = uid_reaches(
                found, self.uid_range[0], self.lab_prefix or sys.prefix, (self.homes_dir, self.state_dir)
            )
        wanted = {"auto": {found.kind}, "required": {"bubblewrap", "uid"}}.get(
            self.isolation, {self.isolation}
        )
        if found.kind not in wanted or (found.kind == "none" and not found.certain):
            self.log.error("Servers can't be kept apart as they should be: %s", found.reason)
            raise SpawnerError("This machine can't keep servers apart, so none is started.", IN_THE_LOG)
        return found

    def open_ways(self) -> None:
        """Make the folders that everyone's servers share.

        Notes
        -----
        User ids of their own must pass through them, though not list them. Nobody else is let in by that: homes are 0700.
        """
        if not self.homes_dir:
            self.log.error("Set c.ProfileLocalSpawner.homes_dir")
            raise SpawnerError("No folder for people's files is set, so no server is started.", IN_THE_LOG)
        folders = [Path(self.homes_dir), Path(self.state_dir), Path(self.state_dir) / "run"]
        for folder in folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.isolation == "uid" or (self.isolation != "none" and probe_isolation().kind == "uid"):
            uids.let_pass(*folders)

    def claim_home(self) -> None:
        """See to it that nobody finds the files of an earlier account of the same name, or of another person.

        Raises
        ------
        SpawnerError
            Servers of the earlier account still run in that home, or nothing would keep this one out of others' homes.
        """
        apart = self.isolation_here().kind != "none"
        with _claiming:
            before = _homes.owner(self.home)
            others = [s for s in self.user.spawners.values() if s is not self and s.active]
            if others and before not in (None, self.account_id):
                raise AnotherAccountError
            if not apart and not self.trust_everyone and _homes.of_others(self.home, self.account_id):
                self.log.warning(
                    "Nothing keeps servers apart, and %s is not the first person", self.user.name
                )
                raise NotIsolatedError
            if moved := _homes.claim(self.home, self.account_id):
                self.log.warning(
                    "The name %s belonged to another account before, whose files are now in %s",
                    self.user.name,
                    moved,
                )
            if not apart:
                # of two people who come at once, one has to see the other's home
                self.come_home()

    def come_home(self) -> None:
        """Have what was put away of the person brought back, and make a home if there is none."""
        if self.homecoming_hook is not None:
            self.homecoming_hook(self)
        self.make_home()

    def make_places(self) -> None:
        """Make the folders that are missing; only this server's user gets into its own."""
        for folder in (self.run_dir / "tmp", self.log_file.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.home.is_symlink():
            raise SpawnerError("Your home folder is a link to somewhere else, so no server is started.")

    def own_places(self) -> None:
        """Let the server's user own its home and its ``/tmp``, with what is in them."""
        by_uid = self.isolation_here().kind == "uid"
        self.uid = (
            uids.uid_of(self.account_id, Path(self.homes_dir), *self.uid_range) if by_uid else os.geteuid()
        )
        if os.geteuid() != 0:
            return
        uids.own(self.home, self.uid)
        uids.own(self.run_dir / "tmp", self.uid)
        if by_uid:
            uids.let_pass(self.run_dir)
