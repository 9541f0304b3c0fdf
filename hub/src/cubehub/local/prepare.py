"""Everything that must be on the disk before the parts can start: fetched, built, checked."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError
from cubehub.keycloak.fetch import fetch_keycloak
from cubehub.local.data_folder import cache_folder
from cubehub.local.environments import ENVIRONMENTS, sync
from cubehub.local.processes import PART_MARK, signal_marked
from cubehub.local.proxy import install_proxy
from cubehub.resources import resource

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.keycloak.server import KeycloakServer
    from cubehub.local.data_folder import DataFolder
    from cubehub.local.progress import Progress

Step = Callable[[], object]
_Outcomes = queue.SimpleQueue[Callable[[], None]]


def prepare(data: DataFolder, keycloak: KeycloakServer, progress: Progress) -> None:
    """Fetch and build what is missing; nothing to do, and no network needed, when all is there.

    Notes
    -----
    Two lanes side by side, since one mostly waits for the network or the disk while the other computes.
    Each step leaves a stamp when it is whole and is safe to kill before that, so that an interrupted
    start goes on where it stopped.

    Raises
    ------
    CubeHubError
        The first step that failed; what was at work beside it has been ended.
    """
    log = data.logs / "prepare.log"
    log.touch(mode=0o600)

    def build_keycloak() -> None:
        with progress.step("Keycloak build", None):
            keycloak.build()

    keycloak_lane: list[Step] = [
        partial(fetch_keycloak, cache_folder(), data.keycloak, progress),
        build_keycloak,
        partial(install_proxy, data.node, log, progress),
    ]
    environments_lane: list[Step] = []
    for environment in ENVIRONMENTS:
        environments_lane.append(partial(sync, environment, data.envs / environment.name, log, progress))
        if environment.name == "cubes":
            environments_lane.append(partial(build_cubes, data, log, progress))
    environments_lane.append(partial(link_xcube_kernel, data, log))
    run_lanes(keycloak_lane, environments_lane, run_id=data.run_id)


def run_lanes(*lanes: Sequence[Step], run_id: str) -> None:
    """Run lanes side by side, the steps of each in order.

    Notes
    -----
    A thread that waits for a download or a program cannot be interrupted. So that Ctrl-C and the first
    failure are answered at once, the programs are ended by their mark (they inherit it from our
    environment) and the threads are daemons, which Python does not wait for when it ends.

    Raises
    ------
    BaseException
        What the first step that failed raised, or what interrupted the wait.
    """
    stop = threading.Event()
    outcomes: _Outcomes = queue.SimpleQueue()
    threads = [threading.Thread(target=_work, args=(lane, stop, outcomes), daemon=True) for lane in lanes]
    os.environ[PART_MARK] = run_id
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            outcomes.get()()
    except BaseException:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if signal_marked(PART_MARK, run_id, number):
                break
        for thread in threads:
            thread.join(1)
        raise
    finally:
        del os.environ[PART_MARK]


def _work(lane: Sequence[Step], stop: threading.Event, outcomes: _Outcomes) -> None:
    """Run the steps of a lane and report what to call where the lanes are waited for: it raises, or does nothing."""
    try:
        for step in lane:
            if stop.is_set():
                break
            step()
    except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
        outcomes.put(partial(_raise, error))
    else:
        outcomes.put(lambda: None)


def _raise(error: BaseException) -> None:
    raise error


def build_cubes(data: DataFolder, log: Path, progress: Progress) -> None:
    """Build the sample cubes that are missing; one that the operator built from other data stays.

    Raises
    ------
    CubeHubError
        A cube could not be built.
    """
    command = [
        str(data.envs / "cubes/bin/cubehub-cubes"), "build", "--json", "--only-missing",
        "--source", str(resource("binder", "data").resolve()), "--output", str(data.cubes),
    ]  # fmt: skip
    with progress.step("sample cubes", None), log.open("a") as record:
        outcome = subprocess.run(command, stdout=record, stderr=record, check=False)
        if outcome.returncode:
            raise CubeHubError(
                "The sample cubes could not be built.", f"The whole message is in {log}.", code="cubes_failed"
            )


def link_xcube_kernel(data: DataFolder, log: Path) -> None:
    """Offer the cube server's environment in Lab as the kernel "Python 3 (xcube)".

    Raises
    ------
    CubeHubError
        It could not be written into Lab's environment.
    """
    # xcube pins an older tornado than the Hub's, so it cannot share Lab's own kernel
    program = data.envs / "lab/bin/cubehub-lab-kernel"
    with log.open("a") as record:
        outcome = subprocess.run(
            [str(program), str(data.envs / "cubes/bin/python")], stdout=record, stderr=record, check=False
        )
    if outcome.returncode:
        raise CubeHubError(
            "The xcube kernel could not be added to Lab.",
            f"The whole message is in {log}.",
            code="kernel_failed",
        )
