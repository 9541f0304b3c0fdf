"""The Dask Gateway backend of one machine: local processes, each in a sandbox, within a budget."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
from collections import Counter
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.backends.local import UnsafeLocalBackend
from dask_gateway_server.options import Float, Integer, Options
from traitlets import Any as AnyTrait
from traitlets import Integer as Integral
from traitlets import List, Unicode

from cubehub_gateway.asked import see_through
from cubehub_gateway.budget import (
    GIB,
    Budget,
    NoBudgetError,
    check_new_cluster,
    within_machine,
    workers_within,
)
from cubehub_gateway.hub import READ_SCOPE, WRITE_SCOPE, HubApi, NotAllowedError, refused
from cubehub_gateway.sandbox import (
    MemoryGroup,
    Sandbox,
    bwrap_prefix,
    environment_paths,
    probe_sandbox,
    remove_memory_group,
    write_identity,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SCHEDULER_MEMORY_BYTES = GIB
_PR_SET_PDEATHSIG = 1
_asked: ContextVar[Budget | None] = ContextVar("asked", default=None)
"""The budget that the request in hand was given, so that its options are bounded by the same answer."""
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(sig: int = signal.SIGKILL) -> None:
    """Ask the kernel to send `sig` to this process when its parent ends, however it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, sig)


class SandboxBackend(UnsafeLocalBackend):
    """Runs schedulers and workers as the gateway's own user, each shut into bubblewrap where there is one.

    Without the sandbox any notebook user could run code beside the Hub's secrets, because a Dask worker
    runs whatever it is sent.
    """

    sandbox = AnyTrait(Sandbox(), help="What `probe_sandbox` found.").tag(config=True)
    worker_environment = Unicode(help="Virtual environment that schedulers and workers run from.").tag(
        config=True
    )
    read_only_paths = List(Unicode(), help="Folders that clusters may read, e.g. the cubes.").tag(config=True)
    notes_directory = Unicode(help="Folder that notes which memory cgroups there are.").tag(config=True)
    identity_directory = Unicode(help="Folder for the passwd and group that sandboxes see.").tag(config=True)
    hub_api_url = Unicode(help="Address of the Hub's API, which is asked what a person may have.").tag(
        config=True
    )
    hub_api_token = Unicode(help="The gateway's own token there.").tag(config=True)
    machine_cores = Integral(help="No cluster gets more cores.").tag(config=True)
    machine_memory = Integral(help="No cluster gets more memory; bytes.").tag(config=True)

    async def setup(self, app: web.Application) -> None:
        """Remove what a killed gateway left behind, then start."""
        app.router.add_get("/health", self._health)
        app.router.add_get("/cubehub/clusters", self._count_clusters)
        app.router.add_delete("/cubehub/users/{person}/clusters", self._stop_clusters)
        app.middlewares.append(see_through)
        self._sweep()
        write_identity(Path(self.identity_directory))
        self._tell_protection()
        await super().setup(app)

    def _tell_protection(self) -> None:
        if not self.sandbox.bwrap:
            self.log.warning(
                "No sandbox: Dask workers run unconfined as this user, so everyone who may start a cluster "
                "can read what this user can. reason: %s",
                self.sandbox.reason,
            )
        elif not self.sandbox.works:
            self.log.error("No cluster is started until the sandbox works: %s", self.sandbox.reason)
        elif not self.sandbox.disables_userns:
            self.log.warning(
                "This bubblewrap can't forbid user namespaces, so a Dask worker may lift its own memory limit. "
                "hint: install bubblewrap 0.8 or later"
            )

    def _sweep(self) -> None:
        for note in Path(self.notes_directory).glob("*"):
            self._remove_group(note.name)
        for left in Path(self.clusters_directory).iterdir():
            shutil.rmtree(left, ignore_errors=True)

    def _remove_group(self, name: str) -> None:
        if not remove_memory_group(Path(self.notes_directory, name)):
            self.log.warning("memory cgroup of %s is still in use; the next start removes it", name)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "pass", "sandbox": self.sandbox.works})

    # --- budgets ---

    @property
    def hub(self) -> HubApi:
        """The Hub's API."""
        return HubApi(self.session, self.hub_api_url, self.hub_api_token)

    async def _budget(self, user: Any) -> Budget:
        """Ask the Hub, once for each request of a person's."""
        known = _asked.get()
        if known is not None:
            return known
        try:
            found = await self.hub.budget(user.name)
        except NoBudgetError as refusal:
            if refusal.__cause__:
                self.log.warning("No budget for %s: %r", user.name, refusal.__cause__)
            # An HTTP error, because the route that lists options passes others on as a bare 500.
            raise web.HTTPUnprocessableEntity(reason=" ".join(str(refusal).split())) from refusal
        return within_machine(found, self.machine_cores, self.machine_memory)

    # --- for the part of the platform that watches accounts ---

    async def _count_clusters(self, request: web.Request) -> web.Response:
        """Tell who has how many clusters."""
        try:
            await self.hub.check_service(request.headers.get("Authorization"), {READ_SCOPE, WRITE_SCOPE})
        except NotAllowedError as error:
            return refused(error)
        people = Counter(cluster.username for cluster in self.db.list_clusters())
        return web.json_response({"people": people})

    async def _stop_clusters(self, request: web.Request) -> web.Response:
        """Stop all clusters of a person, those that are starting too."""
        try:
            await self.hub.check_service(request.headers.get("Authorization"), {WRITE_SCOPE})
        except NotAllowedError as error:
            return refused(error)
        clusters = self.db.list_clusters(username=request.match_info["person"])
        for cluster in clusters:
            await self.stop_cluster(cluster.name)
        return web.json_response({"stopped": len(clusters)})

    # --- options ---

    async def get_cluster_options(self, user: Any) -> Options:
        """Options whose bounds are the person's own budget; limits never come from the request."""
        budget = await self._budget(user)
        largest = budget.memory_bytes / GIB

        def limits(options: Any, _user: Any) -> dict[str, Any]:
            memory = int(options.worker_memory * GIB)
            return {
                "worker_cores": options.worker_cores,
                "worker_memory": memory,
                "scheduler_memory": SCHEDULER_MEMORY_BYTES,
                # The scheduler comes on top of the budget, so that "4 cores" means four that compute.
                "cluster_max_cores": budget.cores + 1,
                "cluster_max_memory": budget.memory_bytes + SCHEDULER_MEMORY_BYTES,
                "cluster_max_workers": workers_within(budget, options.worker_cores, memory),
            }

        return Options(
            Integer("worker_cores", default=1, min=1, max=budget.cores, label="Cores of a worker"),
            Float(
                "worker_memory",
                default=min(2.0, largest),
                min=min(0.25, largest),
                max=largest,
                label="Memory of a worker (GiB)",
            ),
            handler=limits,
        )

    async def start_cluster(self, user: Any, cluster_options: dict[str, Any]) -> str:
        """Submit a cluster, unless the person has as many as the profile allows, or it would be unprotected."""
        budget = await self._budget(user)
        await self._check_sandbox()
        try:
            # nothing is awaited from here until the cluster is noted: two requests at once see one another
            check_new_cluster(budget, len(self.db.list_clusters(username=user.name)))
        except NoBudgetError as refusal:
            raise PublicException(str(refusal)) from refusal
        asked = _asked.set(budget)
        try:
            name: str = await super().start_cluster(user, cluster_options)
        finally:
            _asked.reset(asked)
        return name

    async def _check_sandbox(self) -> None:
        """Refuse where bubblewrap didn't work when it was tried, and doesn't now."""
        if self.sandbox.bwrap and not self.sandbox.works:
            # in a thread: it may take seconds on a machine that has too little of something
            found = await asyncio.to_thread(probe_sandbox, self.sandbox.bwrap)
            self.sandbox = found
            self._tell_protection()
            if not found.works:
                raise PublicException(
                    "This machine can't shut a cluster into a sandbox at the moment, so none is started; "
                    "try again in a minute, and tell the operator if it stays"
                )

    # --- processes ---

    def get_env(self, cluster: Any) -> dict[str, str]:
        """Nothing of the gateway's own environment but PATH and the language; its token stays here."""
        env = super().get_env(cluster)
        workdir = cluster.state["workdir"]
        bin_folder = str(Path(self.worker_environment, "bin"))
        return {
            **env,
            "HOME": workdir,
            "TMPDIR": workdir,
            "PATH": f"{bin_folder}:/usr/local/bin:/usr/bin:/bin",
        }

    def _confine(self, cluster: Any, command: list[str]) -> list[str]:
        if not self.sandbox.bwrap:
            return command
        prefix = bwrap_prefix(
            self.sandbox,
            identity=Path(self.identity_directory),
            read_only=[*environment_paths(Path(self.worker_environment)), *map(Path, self.read_only_paths)],
            workdir=Path(cluster.state["workdir"]),
        )
        return [*prefix, *command]

    def _preexec(self, cluster: Any, group: MemoryGroup) -> Callable[[], None]:
        enter = super().make_preexec_fn(cluster)

        def preexec() -> None:
            die_with_parent()
            group.join()
            enter()

        return preexec

    async def _launch(
        self, cluster: Any, command: list[str], env: dict[str, str], name: str, limit_bytes: int
    ) -> dict[str, Any]:
        group = MemoryGroup(name, limit_bytes, Path(self.notes_directory))
        try:
            return await self._launch_in(group, cluster, command, env, name)
        except BaseException:
            # its state is never stored, so nothing else would remove the group
            self._remove_group(name)
            raise

    async def _launch_in(
        self, group: MemoryGroup, cluster: Any, command: list[str], env: dict[str, str], name: str
    ) -> dict[str, Any]:
        log = Path(self.get_logs_directory(cluster.state["workdir"]), f"{name}.log")
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._confine(cluster, command),
                preexec_fn=self._preexec(cluster, group),
                start_new_session=True,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
            )
        finally:
            os.close(output)
        return {"pid": process.pid, "group": name if group.path else None, "log": str(log)}

    async def do_start_cluster(self, cluster: Any) -> AsyncIterator[dict[str, Any]]:
        """Make the cluster's folder and start its scheduler."""
        workdir = self.setup_working_directory(cluster)
        yield {"workdir": workdir}
        started = await self._launch(
            cluster,
            self.get_scheduler_command(cluster),
            self.get_scheduler_env(cluster),
            f"scheduler-{cluster.name}",
            cluster.config.scheduler_memory,
        )
        yield {"workdir": workdir, **started}

    async def do_start_worker(self, worker: Any) -> AsyncIterator[dict[str, Any]]:
        """Start one worker."""
        yield await self._launch(
            worker.cluster,
            self.get_worker_command(worker.cluster, worker.name),
            self.get_worker_env(worker.cluster),
            f"worker-{worker.name}",
            worker.cluster.config.worker_memory,
        )

    async def do_stop_cluster(self, cluster: Any) -> None:
        """End the scheduler and remove the cluster's folder."""
        self._explain(cluster)
        try:
            await super().do_stop_cluster(cluster)
        finally:
            await self._forget(cluster)

    async def do_stop_worker(self, worker: Any) -> None:
        """End one worker."""
        self._explain(worker)
        try:
            await super().do_stop_worker(worker)
        finally:
            await self._forget(worker)

    def _explain(self, job: Any) -> None:
        """Log the end of the output of a process that ended by itself: its file is about to go."""
        if job.state.get("pid") is None or self._check_status(job):
            return
        with suppress(OSError):
            tail = Path(job.state["log"]).read_text(encoding="utf-8", errors="replace")[-1500:]
            self.log.warning("%s %s ended by itself; its last words:\n%s", type(job).__name__, job.name, tail)

    async def _forget(self, job: Any) -> None:
        """Remove a job's memory cgroup; in a thread, because its last processes may take a moment to go."""
        if job.state.get("group"):
            await asyncio.to_thread(self._remove_group, job.state["group"])
