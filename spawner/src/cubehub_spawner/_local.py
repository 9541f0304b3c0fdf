"""The spawner of one machine: a server as a child process, entitled, held to its RAM and shut into its home."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyterhub.spawner import LocalProcessSpawner
from jupyterhub.utils import random_port
from traitlets import Any as AnyTrait
from traitlets import Dict, Int, List, TraitError, Unicode, default, validate

from cubehub_spawner import enforcers, uids
from cubehub_spawner._folders import remove_folder
from cubehub_spawner._mixin import EntitledSpawner
from cubehub_spawner._own_port import OwnPort
from cubehub_spawner._places import Places
from cubehub_spawner._ports import tell_who
from cubehub_spawner._rescue import in_rescue
from cubehub_spawner._room import Room
from cubehub_spawner.enforcers._tree import eldest_child, end_tree, server_chain, started_at
from cubehub_spawner.enforcers.base import Enforcer, held_beside, kill
from cubehub_spawner.enforcers.resize import resize, used_bytes
from cubehub_spawner.entitlement import Grant, Refusal
from cubehub_spawner.environment import server_environment
from cubehub_spawner.errors import (
    NoEnforcerError,
    PortTakenError,
    ResizeError,
    SpawnerError,
)
from cubehub_spawner.isolation import (
    HOME_INSIDE,
    isolate,
    python_paths,
    write_identity,
)

_PATIENCE_S = 10
"""How long to wait for a process that was killed."""
_PORTS_TRIED = 3


class ProfileLocalSpawner(OwnPort, Room, Places, EntitledSpawner, LocalProcessSpawner):
    """Starts servers on this machine, each with the RAM of its person's group.

    Notes
    -----
    People need no system account. `popen_kwargs` and `shell_cmd` of the stock spawner are not used.
    A server outlives the Hub: its limit is held by the kernel (or by a process of its own), and the Hub finds server
    and limit again from `get_state`.
    """

    lab_prefix = Unicode(help="Virtual environment with the server's programs; empty for the Hub's own.").tag(
        config=True
    )

    homecoming_hook = AnyTrait(
        help="Called with the spawner once its server is granted and it is noted whose the home is, before one is made."
    ).tag(config=True)

    home_hook = AnyTrait(
        help="Called with the spawner once its server is granted and the home is there, before it starts."
    ).tag(config=True)

    extra_path = List(Unicode(), help="Folders put behind the environment's own in the server's PATH.").tag(
        config=True
    )

    read_only_paths = List(
        Unicode(),
        help="Paths that every server sees, read-only; `lab_prefix` and its Python are seen anyway.",
    ).tag(config=True)

    extra_env = Dict(help="Environment variables of every server. They win over CubeHub's own.").tag(
        config=True
    )

    enforcers = List(
        Unicode(),
        default_value=[enforcer.name for enforcer in enforcers.ENFORCERS],
        help="What may hold a server to its RAM, in the order in which it is tried.",
    ).tag(config=True)

    pids_limit = Int(
        4096, min=64, help="Processes and threads that one server may have; a fork bomb ends there."
    ).tag(config=True)

    if TYPE_CHECKING:
        proc: subprocess.Popen[bytes] | None
        pid: int

    enforcer_name = ""
    """Which enforcer holds this server; empty while none runs."""
    handle = ""
    """Under what the enforcer knows it."""
    started = -1
    """When `pid` was started, so that a recycled process id is not taken for the server."""
    _releasing: asyncio.Future[None] | None = None

    @default("env_keep")
    def _default_env_keep(self) -> list[str]:
        return ["LANG", "LC_ALL", "TZ"]  # the Hub's PATH, PYTHONPATH and VIRTUAL_ENV are the Hub's

    @validate("enforcers")
    def _check_enforcers(self, proposal: dict[str, Any]) -> list[str]:
        value: list[str] = proposal["value"]
        try:
            enforcers.named(value)
        except ValueError as error:
            raise TraitError(f"enforcers={value!r}: {error}") from error
        return value

    # ---- what is started ----------------------------------------------------------------------------------------

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """Add who and where the person is, without asking the system for an account of that name."""
        isolated = self.isolation_here().kind == "bubblewrap"
        home, tmp = (HOME_INSIDE, Path("/tmp")) if isolated else (self.home, self.tmp)  # noqa: S108 - its own
        env.update(
            server_environment(
                username=self.user.name if not isolated else "jovyan",
                home=home,
                tmp=tmp,
                prefix=self.lab_prefix or sys.prefix,
                extra_path=self.extra_path,
                cpu=self.cpu_limit or 1,
            )
        )
        env["CUBEHUB_PROFILE"] = self.granted_profile
        env["CUBEHUB_PROFILE_TITLE"] = self.granted_title
        env.update(self.rescue_env(tmp, home))
        env.update(self.extra_env)
        return env

    def server_command(self) -> list[str]:
        """Write the server's own command, its program by full path."""
        program, *rest = [str(part) for part in (*self.cmd, *self.get_args())]
        if os.sep not in program:
            program = str(Path(self.lab_prefix or sys.prefix) / "bin" / program)
        return in_rescue([program, *rest]) if self.rescue else [program, *rest]

    def isolated_command(self, enforcer: Enforcer) -> list[str]:
        """Write the server's command, shut in where the machine can do that."""
        isolation = self.isolation_here()
        if isolation.kind == "none":
            return self.server_command()
        if isolation.kind == "uid":
            return uids.drop_command(self.uid, self.server_command(), die_with_parent=enforcer.is_parent)
        return isolate(
            self.server_command(),
            read_only=[*python_paths(self.lab_prefix or sys.prefix), *self.read_only_paths],
            read_only_binds={
                **write_identity(Path(self.state_dir) / "etc"),
                enforcer.folder(self.handle): enforcer.inside,
            },
            binds={self.home: HOME_INSIDE},
            tmp=self.tmp,
            chdir=HOME_INSIDE,
            program=isolation.program,
            disables_userns=isolation.disables_userns,
            die_with_parent=enforcer.is_parent,
        )

    def events_seen(self, enforcer: Enforcer) -> Path:
        """Tell where the server finds the counter of out-of-memory kills."""
        isolated = self.isolation_here().kind == "bubblewrap"
        folder = enforcer.inside if isolated else enforcer.folder(self.handle)
        return folder / enforcer.events_file

    # ---- start, poll, stop --------------------------------------------------------------------------------------

    async def start(self) -> tuple[str, int]:
        """Start the server, or refuse with a page that says why.

        Notes
        -----
        What the Hub's database says about groups is not used. The decision comes first, so a refusal leaves nothing behind.
        """
        if self._releasing is not None:
            await asyncio.shield(self._releasing)
        grant = await self.entitle()
        try:
            enforcer = await asyncio.to_thread(self._choose)
            await asyncio.to_thread(self.claim_home)
            await asyncio.to_thread(self.come_home)
            self.make_places()
            if self.home_hook is not None:
                await asyncio.to_thread(self.home_hook, self)
            await asyncio.to_thread(self.own_places)
            await asyncio.to_thread(self.limit_home)
            grant = await self.make_room(grant)
            self.handle = await asyncio.to_thread(self._create, enforcer, grant)
            self.enforcer_name = enforcer.name
            await self._run(enforcer)
        except SpawnerError as error:
            await self._release()
            self.log.error("%s: %s", error.code, error.message)  # noqa: TRY400 - expected; the page says it too
            # what was tried, and where on this machine, is for the log
            message = NoEnforcerError.default_message if isinstance(error, NoEnforcerError) else error.message
            self.refuse(Refusal(error.code, message, error.hint))
        except Exception:
            await self._release()
            self.log.exception("The server of %s can't be started", self._log_name)
            self.refuse(Refusal("spawner_error", SpawnerError.default_message, SpawnerError.default_hint))
        except BaseException:  # the Hub waits no longer
            await self._release()
            raise
        return (self.ip or "127.0.0.1", self.port)

    def _choose(self) -> Enforcer:
        """Find out what this machine can do; slow the first time, so not in the Hub's own thread."""
        self.open_ways()
        self.isolation_here()
        return enforcers.choose(Path(self.state_dir), enforcers.named(self.enforcers))

    def _create(self, enforcer: Enforcer, grant: Grant) -> str:
        return enforcer.create(self.group, grant.memory_bytes, cpu=grant.cpu, pids=self.pids_limit)

    async def _run(self, enforcer: Enforcer) -> None:
        """Start the server until it listens at a port of its own.

        Raises
        ------
        PortTakenError
            Somebody else listened there each time.
        ServerEndedError
            The server ended while it started.
        """
        for _ in range(_PORTS_TRIED):
            self.port = random_port()
            self._popen(enforcer)
            if await self.own_port():
                return
            self.log.error(
                "port_taken: %s's server found port %d taken by %s",
                self._log_name,
                self.port,
                tell_who(self.port),
            )
            await asyncio.to_thread(end_tree, self.pid, self.started, _PATIENCE_S)
        raise PortTakenError

    def _popen(self, enforcer: Enforcer) -> None:
        command = enforcer.command(self.handle, self.isolated_command(enforcer))
        env = self.get_env() | {"CUBEHUB_MEMORY_EVENTS": str(self.events_seen(enforcer))}
        descriptor = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            self.proc = subprocess.Popen(
                command,
                env=env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C at the Hub is not for the servers
            )
        finally:
            os.close(descriptor)
        self.pid = self.proc.pid
        self.started = started_at(self.pid)
        self.log.info(
            "Started the server of %s as %s: %s holds it to %d bytes%s, output in %s",
            self._log_name,
            self.granted_profile,
            enforcer.name,
            self.granted_bytes,
            held_beside(enforcer.holds, self.granted_cpu, self.pids_limit),
            self.log_file,
        )

    async def poll(self) -> int | None:
        """Tell whether the server runs (None) or how it ended; what it left behind is then cleared away."""
        if not self.pid:
            return 0  # nothing to clear away; and a start under way keeps what it was granted
        if self.proc is not None:
            status: int | None = self.proc.poll()
        else:
            status = None if self.started >= 0 and started_at(self.pid) == self.started else 0
        if status is not None:
            await self._release()
        else:
            await self.take_over_port()
        return status

    async def stop(self, now: bool = False) -> None:
        """Stop the server: ask it to end, then end everything in its group."""
        if not now and await self.poll() is None:
            kill(self._server_pid(), signal.SIGTERM)
            await self.wait_for_death(self.term_timeout)
        await self._release()

    async def resize_server(self, memory_bytes: int, cpu: float) -> None:
        """Write another limit into the running server's group; see `enforcers.resize`.

        Notes
        -----
        Cores follow where they are held, and that alone makes nothing fail. The number of threads that libraries
        were told stays until the next start.
        """
        if not self.handle:
            raise ResizeError("The server does not run.")
        await asyncio.to_thread(self._resize, self.handle, memory_bytes, cpu)

    def _resize(self, handle: str, memory_bytes: int, cpu: float) -> None:
        try:
            enforcer = self._enforcer()
        except NoEnforcerError as error:  # what held it at the start can't be used by this Hub
            raise ResizeError(error.message) from error
        resize(enforcer, handle, memory_bytes)
        try:
            enforcer.limit_cpu(handle, cpu)
        except OSError as error:
            self.log.warning("The cores of %s's server could not be changed: %s", self._log_name, error)

    async def memory_used(self) -> int | None:
        """Tell what the running server uses, without unused file contents."""
        if not self.handle:
            return None
        try:
            return await asyncio.to_thread(lambda handle: used_bytes(self._enforcer(), handle), self.handle)
        except (OSError, ValueError, SpawnerError):
            return None

    def _enforcer(self) -> Enforcer:
        return enforcers.choose(Path(self.state_dir), enforcers.named([self.enforcer_name]))

    def _server_pid(self) -> int:
        """Find the server itself behind the watchdog and bubblewrap, neither of which passes a signal on."""
        pid = self.pid
        if self.enforcer_name == "watchdog":
            pid = eldest_child(pid) or pid
        return server_chain(pid)[-1]

    async def _release(self) -> None:
        """End what is left of the server and remove its group and its temporary files.

        Notes
        -----
        The Hub polls from several places. Whoever finds the server ended while it is cleared away waits for that same
        end: a second, slower one would clear away the server that was started after the first.
        """
        if self._releasing is None:
            self._releasing = asyncio.ensure_future(self._end())
        await asyncio.shield(self._releasing)

    async def _end(self) -> None:
        pid, started, proc = self.pid, self.started, self.proc
        try:
            await self._end_group()
            # The same once more without the enforcer, which a restarted Hub may not be able to use any longer.
            if pid and not await asyncio.to_thread(end_tree, pid, started, _PATIENCE_S):
                self.log.error("Some of the processes of %s's server would not end", self._log_name)
            if proc is not None:
                await asyncio.to_thread(proc.wait, _PATIENCE_S)
            await asyncio.to_thread(remove_folder, self.run_dir)
            await asyncio.to_thread(self.end_rescue)
        except (OSError, subprocess.TimeoutExpired) as error:
            self.log.error("What is left of the server of %s: %s", self._log_name, error)  # noqa: TRY400 - as below
        finally:
            self.clear_state()
            self.let_go_of_port()
            self._releasing = None

    async def _end_group(self) -> None:
        handle, name = self.handle, self.enforcer_name
        if not handle:
            return
        try:
            if not await asyncio.to_thread(self._remove, name, handle):
                self.log.error("%s: some of the server's processes would not end", handle)
        except (SpawnerError, OSError, ValueError) as error:
            self.log.error("%s can't be cleared away: %s", handle, error)  # noqa: TRY400 - nothing to trace

    def _remove(self, name: str, handle: str) -> bool:
        """Remove a group; looking for its enforcer may take long the first time, so not in the Hub's own thread."""
        return enforcers.choose(Path(self.state_dir), enforcers.named([name])).remove(handle)

    # ---- what a restarted Hub knows -----------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Write down how to find the server and its limit again."""
        state: dict[str, Any] = super().get_state()
        if self.pid:
            state |= {"started": self.started, "enforcer": self.enforcer_name, "handle": self.handle}
            state |= self.grant_state() | self.rescue_state()
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over a server that a previous Hub started."""
        super().load_state(state)
        if self.pid:
            self.started = state.get("started", -1)
            self.enforcer_name = state.get("enforcer", "")
            self.handle = state.get("handle", "")
            self.load_grant_state(state)
            self.load_rescue_state(state)

    def clear_state(self) -> None:
        """Forget a server that has ended."""
        super().clear_state()
        self.proc = None
        self.started, self.enforcer_name, self.handle, self.granted_bytes = -1, "", "", 0

    async def move_certs(self, paths: dict[str, str]) -> dict[str, str]:
        """Refuse the Hub's internal TLS, whose keys would have to be shown to the server."""
        del paths
        raise SpawnerError(
            "JupyterHub.internal_ssl is not supported by ProfileLocalSpawner.",
            "Servers listen on loopback: switch internal_ssl off.",
        )
