"""A whole CubeHub for tests: `cubehub up` as a real process on a folder, a port and profiles of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from cubehub.local.data_folder import DataFolder
from cubehub.local.platform import free_port, is_free
from cubehub.resources import resource
from cubehub.secrets import Secrets

from cubehub_tests.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

MIB = 1024**2
REPOSITORY = Path(__file__).parents[3]
ARTEFACTS = REPOSITORY / "test-artefacts"
STANDARD, PREMIUM = 768 * MIB, 1408 * MIB
PROFILES = """\
# Small enough that going past a limit takes seconds, large enough for Lab and a notebook.
profiles:
  standard: {title: Standard, groups: [/cubehub/standard], memory: 768M, cpu: 1, storage: 1G, dask: {clusters: 1, cores: 2, memory: 2G}}
  premium: {title: Premium, groups: [/cubehub/premium], memory: 1408M, cpu: 2, storage: 2G, dask: {clusters: 2, cores: 2, memory: 2G}}
"""
# Nothing is stopped for idleness while a slow machine tests
SETTINGS = """\
title: CubeHub under test
idle: {stop_after: 6h, check_every: 10m}
spawn_timeout: 180s
mail: {server: page}
"""
# Days in seconds: what people made is moved after two notices, and nobody can wait for them
STORAGE = """\
preset: 'off'
scratch: 1d
idle: 365d
notices: {{first: 4s, second: 2s}}
archive: {{to: {archives}}}
hold: 1s
most_of_home: 100
most_of_platform: 100
every: 365d
"""
REFRESH_S = 15
# As an operator changes any trait; with the shipped minute, tests would mostly wait. The Hub's questions about people
# go through a relay that tests can break, while log-ins work and nobody waits for another start of Keycloak
HUB = """\
from cubehub import configure

configure(c)
c.KeycloakAuthenticator.auth_refresh_age = {refresh}
c.ProfileLocalSpawner.directory._url = "http://127.0.0.1:{relay}"
"""
OFFERED = "msi-ndvi-n45-91-e15-63"
"""Name of a cube that the catalogue's code has a recipe build over the sample scenes."""
# Listed from the start, built by nobody: a test puts them there while the server runs
MORE_CUBES = f"""
  - id: {OFFERED}
    title: Over the sample scenes
    access: public
    attribution: contains modified Copernicus Sentinel data
    variables: [{{name: ndvi, range: [-0.2, 0.9]}}]
  - id: standard-only
    title: For one group
    access: [/cubehub/standard]
    attribution: contains modified Copernicus Sentinel data
    variables: [{{name: conc_chl, range: [0.1, 30], scale: log}}]
  - id: petra-only
    title: For one person
    access: owner
    owner: petra
    attribution: contains modified Copernicus Sentinel data
    variables: [{{name: conc_chl, range: [0.1, 30], scale: log}}]
"""


class CommandError(AssertionError):
    """A `cubehub` command ended with another status than the test wanted; the message holds what it said."""


def two_free_ports() -> int:
    """Give a port that is free together with the next one, which Keycloak takes."""
    while True:
        port = free_port("127.0.0.1", set())
        if port < 65000 and is_free("127.0.0.1", port + 1):
            return port


@dataclass(frozen=True)
class Outcome:
    """How a `cubehub` command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What it printed for programs: its whole output, or the last line of it."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            return json.loads(self.stdout.strip().splitlines()[-1])


@dataclass
class Whole:
    """One platform: its folder, its address, its commands.

    Use it as a context manager; leaving it stops everything and removes the folder.
    """

    data: Path
    """The data folder."""
    port: int
    """Port of the one address."""
    config: Path
    """The operator's folder, with small profiles."""
    program: tuple[str, ...] = (str(Path(sys.executable).with_name("cubehub")),)
    """Command before `up`, `down` and the others."""
    scratch: Path | None = None
    """Folder to remove at the end."""
    relay: Relay | None = None
    """Between the Hub's directory and Keycloak."""
    known: set[psutil.Process] = field(default_factory=set)
    """Every process of the platform that was ever seen; one that later gets the same number is not it."""

    @classmethod
    def make(cls, *, program: tuple[str, ...] | None = None, within: tuple[str, ...] = ()) -> Self:
        """Choose folder, port and configuration; nothing is started yet.

        Parameters
        ----------
        program
            Instead of this environment's ``cubehub``.
        within
            What starts a command in another network.
        """
        # not pytest's own temporary folder, which would keep some gigabytes of three runs
        scratch = Path(tempfile.mkdtemp(prefix="cubehub-whole-"))
        scratch.chmod(0o711)  # PostgreSQL runs as its own user
        whole = cls.lay_out(scratch, two_free_ports())
        if program is not None:
            whole.program = program
        whole.program = (*within, *whole.program)
        return whole

    @classmethod
    def lay_out(cls, scratch: Path, port: int) -> Self:
        """Write the operator's folder below `scratch` and describe the platform beside it."""
        config = scratch / "config"
        config.mkdir(parents=True, exist_ok=True)
        (config / "profiles.yaml").write_text(PROFILES)
        (config / "cubehub.yaml").write_text(SETTINGS)
        (config / "storage.yaml").write_text(STORAGE.format(archives=scratch / "archives"))
        kept = scratch / "relay-port"
        if not kept.exists():
            kept.write_text(str(free_port("127.0.0.1", {port, port + 1})))
        relay = int(kept.read_text())
        (config / "jupyterhub_config.py").write_text(HUB.format(refresh=REFRESH_S, relay=relay))
        (config / "cubes.yaml").write_text(resource("config", "cubes.yaml").read_text() + MORE_CUBES)
        shutil.copytree(resource("config", "places"), config / "places", dirs_exist_ok=True)
        whole = cls(scratch / "data", port, config, scratch=scratch)
        whole.relay = Relay(relay, lambda: whole.ports["keycloak"])
        return whole

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            if (self.data / "version.json").exists():
                self.keep_logs()
                self.run("down", check=False, timeout_s=180)
        finally:
            self.end_leftovers()
            if self.relay is not None:
                self.relay.close()
            if self.scratch is not None and "CUBEHUB_TEST_KEEP" not in os.environ:
                shutil.rmtree(self.scratch, ignore_errors=True)

    # --- commands ---

    def run(
        self, *arguments: str, check: bool = True, timeout_s: float = 600, data: Path | None = None
    ) -> Outcome:
        """Run `cubehub ARGUMENTS --data DATA`.

        Raises
        ------
        CommandError
            It ended with another status than 0, unless `check` is off.
        """
        command = [*self.program, *arguments, "--data", str(data or self.data)]
        return self.execute(command, check=check, timeout_s=timeout_s)

    def execute(self, command: list[str], *, check: bool = True, timeout_s: float = 600) -> Outcome:
        """Run any command; its output goes to files, so that what it leaves running cannot hold a pipe open."""
        with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
            ended = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, check=False, timeout=timeout_s,
                env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"},
            )  # fmt: skip
            stdout.seek(0)
            stderr.seek(0)
            outcome = Outcome(ended.returncode, stdout.read(), stderr.read())
        if check and outcome.status:
            raise CommandError(
                f"{' '.join(command)} ended with status {outcome.status}\n"
                f"--- stdout\n{outcome.stdout}\n--- stderr\n{outcome.stderr}\n{self.last_words()}"
            )
        return outcome

    def up_command(self, *, data: Path | None = None, port: int | None = None) -> list[str]:
        """Write the command that brings the platform up."""
        return [
            *self.program, "up", "--detach", "--json", "--no-browser", "--config", str(self.config),
            "--port", str(port or self.port), "--data", str(data or self.data),
        ]  # fmt: skip

    def up(self) -> dict[str, Any]:
        """Bring it up and give what `up` says for programs.

        Raises
        ------
        CommandError
            It did not come up; the message has the ends of all logs.
        """
        said: dict[str, Any] = self.execute(self.up_command(), timeout_s=900).json
        self.processes()
        return said

    def down(self) -> Outcome:
        """Stop it."""
        self.processes()
        return self.run("down", "--json", timeout_s=180)

    def status(self) -> dict[str, Any]:
        """What `cubehub status --json` says."""
        found: dict[str, Any] = self.run("status", "--json", check=False).json
        return found

    def pid(self, part: str) -> int:
        """Process id of a supervised part."""
        return int(self.status()["parts"][part]["pid"])

    def wait_until_healthy(
        self, *, restarted: str | None = None, since: int = 0, patience_s: float = 180
    ) -> None:
        """Wait until every part is healthy, and one of them was restarted more often than `since`.

        Raises
        ------
        CommandError
            That did not happen in time.
        """
        ends = time.monotonic() + patience_s
        while time.monotonic() < ends:
            found = self.status()
            fine = found["running"] and all(part["health"] == "healthy" for part in found["parts"].values())
            if fine and (restarted is None or found["parts"][restarted]["restarts"] > since):
                return
            time.sleep(0.5)
        raise CommandError(
            f"not healthy in {patience_s:.0f} s: {json.dumps(found, indent=1)}\n{self.last_words()}"
        )

    # --- places and addresses ---

    @property
    def folder(self) -> DataFolder:
        """The data folder as CubeHub's own code sees it."""
        return DataFolder(self.data)

    @property
    def url(self) -> str:
        """The one address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ports(self) -> dict[str, int]:
        """Port of each inner part and of Keycloak."""
        found: dict[str, int] = json.loads((self.data / "run/ports.json").read_text())
        return found

    @property
    def keycloak_url(self) -> str:
        """Keycloak's address."""
        return f"http://127.0.0.1:{self.ports['keycloak']}"

    @property
    def issuer(self) -> str:
        """The realm's issuer."""
        return f"{self.keycloak_url}/realms/cubehub"

    @cached_property
    def accounts(self) -> dict[str, str]:
        """Password of each demo account, as a person reads them in accounts.txt."""
        lines = (self.data / "accounts.txt").read_text().splitlines()[1:]
        return {words[0]: words[1] for line in lines if len(words := line.split()) > 2}

    @property
    def secrets(self) -> Secrets:
        """All secrets."""
        return Secrets(self.data / "secrets")

    def log(self, part: str) -> str:
        """What a part wrote."""
        return (self.data / "logs" / f"{part}.log").read_text(errors="replace")

    def last_words(self, lines: int = 25) -> str:
        """The end of every log."""
        texts = []
        for file in sorted((self.data / "logs").glob("*.log")):
            tail = file.read_text(errors="replace").splitlines()[-lines:]
            texts.append(f"--- {file.name}\n" + "\n".join(tail))
        return "\n".join(texts)

    def keep_logs(self) -> None:
        """Copy the logs to the artefacts' folder."""
        target = ARTEFACTS / "logs" / str(self.port)
        for file in [*(self.data / "logs").glob("*"), *(self.data / "servers/logs").glob("*")]:
            target.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):
                shutil.copyfile(file, target / file.name)

    # --- processes ---

    def processes(self) -> list[psutil.Process]:
        """Everything that belongs to this folder: by its mark, or by a path of the folder anywhere in it."""
        found = [process for process in psutil.process_iter() if self._belongs(process)]
        self.known.update(found)
        return found

    def _belongs(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid():
            return False
        needle = str(self.data)
        with contextlib.suppress(psutil.Error, OSError):
            environment = process.environ()
            marks = (environment.get("CUBEHUB_RUN"), environment.get("CUBEHUB_SERVER_OF"))
            if self._run_id in marks or any(needle in value for value in environment.values()):
                return True
            if any(needle in word for word in process.cmdline()):
                return True
            return needle in process.cwd() or needle in process.exe()
        return False

    @cached_property
    def _run_id(self) -> str:
        return self.folder.run_id

    def end_leftovers(self) -> None:
        """End what `down` should have ended, by process id."""
        if not (self.data / "version.json").exists():
            return
        left = self.processes()
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=10)


@contextlib.contextmanager
def running_whole() -> Iterator[Whole]:
    """Give a platform that is up and healthy; when it goes, nothing of it may be left.

    Where CUBEHUB_TEST_REUSE names a folder, the platform lives there and goes on running: while tests are
    written, nobody waits for a start. Nothing is removed, and what earlier runs did to it is still there.
    """
    if kept := os.environ.get("CUBEHUB_TEST_REUSE"):
        scratch = Path(kept)
        scratch.mkdir(mode=0o711, exist_ok=True)
        ports = scratch / "port"
        if not ports.exists():
            ports.write_text(str(two_free_ports()))
        whole = Whole.lay_out(scratch, int(ports.read_text()))
        if not (whole.data / "version.json").exists() or not whole.status()["running"]:
            whole.up()
        yield whole
        if whole.relay is not None:
            whole.relay.close()
        return
    with Whole.make() as whole:
        whole.up()
        yield whole
        whole.down()
        left = whole.processes()
        orphans = [process for process in whole.known if _runs(process)]
        assert not left, f"`cubehub down` left {left}"
        assert not orphans, f"of the platform's processes these still run: {orphans}"


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
