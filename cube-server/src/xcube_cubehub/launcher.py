"""``cubehub-cube-server``: run xcube's server in this process, guarded, behind the Hub's proxy."""

import argparse
import ctypes
import json
import logging
import os
import secrets
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xcube_cubehub.config import Cubes, ServerSettings, read_cubes, read_settings
from xcube_cubehub.errors import BadInputError, ConfigError, CubeError
from xcube_cubehub.issuer import PATIENCE_S, Issuer
from xcube_cubehub.render import norms, published, signature

log = logging.getLogger(__name__)
LOOK_AGAIN_MS = 3000
_PR_SET_PDEATHSIG = 1
_M_ARENA_MAX = -8


def die_with_parent() -> None:
    """Have the kernel send us SIGTERM when the process that started us ends; Linux only."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def save_memory() -> None:
    """Two malloc arenas instead of eight per core: threads that compute tiles otherwise keep what they once used."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)


def compile_late() -> None:
    """Have numba compile xcube's resampling functions when they are first called.

    xcube gives five of them signatures, so that numba compiles them at import: seconds of each start, and memory, for
    what only coverages of a projected grid ever call.
    """
    import numba  # noqa: PLC0415

    eager = numba.njit

    def late(*args: Any, **kwargs: Any) -> Any:
        return eager(*(a for a in args if not isinstance(a, str)), **kwargs)

    numba.njit = late


async def fetch(url: str, token: str | None) -> tuple[int, bytes]:
    """GET, with a bearer token or without: status and body."""
    from tornado.httpclient import AsyncHTTPClient  # noqa: PLC0415

    response = await AsyncHTTPClient().fetch(
        url,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        raise_error=False,  # only such as carry no status are raised
        follow_redirects=False,  # a token goes where discovery says, and nowhere else
        connect_timeout=PATIENCE_S,
        request_timeout=PATIENCE_S,
    )
    return response.code, bytes(response.body)


class CubeServer:
    """The server, and the watch that publishes newly built cubes without a restart.

    Parameters
    ----------
    settings : ServerSettings
        From the Hub.

    Raises
    ------
    ConfigError
        ``cubes.yaml`` cannot be used.
    """

    def __init__(self, settings: ServerSettings) -> None:
        # Imported here, so that a mistake in a file is told before xcube's four seconds of imports.
        self._settings = settings
        self._cubes: Cubes = read_cubes(settings.cubes_yaml)
        self._seen = signature(settings.cubes_yaml, settings.cubes_dir)

        compile_late()
        import dask  # noqa: PLC0415
        from xcube.server.framework import get_framework_class  # noqa: PLC0415
        from xcube.server.server import Server  # noqa: PLC0415
        from xcube.util.plugin import init_plugins  # noqa: PLC0415

        from xcube_cubehub import contexts  # noqa: PLC0415
        from xcube_cubehub.callers import Callers  # noqa: PLC0415
        from xcube_cubehub.liveness import Liveness  # noqa: PLC0415
        from xcube_cubehub.plugin import FRAMEWORK  # noqa: PLC0415
        from xcube_cubehub.tokens import ImageCookie, TokenVerifier  # noqa: PLC0415
        from xcube_cubehub.web import Services  # noqa: PLC0415

        dask.config.set(scheduler="threads", num_workers=2)
        now = self._published = published(settings, self._cubes)
        issuer, cookie = Issuer(settings.issuer, fetch), ImageCookie(secrets.token_bytes(32))
        self.services: Services = Services(
            settings=settings,
            callers=Callers(TokenVerifier(issuer, settings.audience), Liveness(issuer), cookie),
            cookie=cookie,
            policy=now.policy,
        )
        contexts.install(
            lambda: self.services.policy,
            lambda: norms(self._cubes),
            lambda ds_id: self._published.near_empty.get(ds_id, frozenset()),
        )
        self._save(now.config)
        init_plugins()
        framework = get_framework_class(FRAMEWORK)(self.services)
        self.server: Server = Server(framework, now.config)
        if not isinstance(self.server.ctx.get_api_ctx("datasets"), contexts.GuardedDatasetsContext):
            message = "xcube made its own datasets context instead of the guarded one"
            raise CubeError(message, "this version of xcube does not fit; install the locked environment")
        self.services.ready = True

    def _save(self, config: dict[str, Any]) -> None:
        """Keep the rendered configuration where an operator can look at it."""
        path = self._settings.state_dir / "server.json"
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")

    def look_again(self) -> None:
        """Publish what was built, rebuilt or listed since the last look."""
        seen = signature(self._settings.cubes_yaml, self._settings.cubes_dir)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._cubes = read_cubes(self._settings.cubes_yaml)
        except ConfigError as error:
            log.error("%s; serving as before", error.message)  # noqa: TRY400 - the message says it all
            return
        now = self._published = published(self._settings, self._cubes)
        self._save(now.config)
        # Rules first: between the two lines a cube is rather hidden than open.
        self.services.policy = now.policy
        self.server.update(now.config)
        log.info("published anew: %d cubes", len(now.policy.rules))

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        from tornado.ioloop import IOLoop, PeriodicCallback  # noqa: PLC0415

        loop = IOLoop.current()

        def stop(_number: int, _frame: object) -> None:
            loop.add_callback_from_signal(self.server.stop)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        PeriodicCallback(self.look_again, LOOK_AGAIN_MS).start()
        log.info(
            "cubes at http://%s:%d%s/", self._settings.address, self._settings.port, self._settings.prefix
        )
        self.server.start()
        log.info("stopped")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``cubehub-cube-server``; 0 stopped as asked, 1 failed, 2 bad configuration."""
    parser = argparse.ArgumentParser(prog="cubehub-cube-server", description="Serve the published cubes.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file written by the Hub")
    args = parser.parse_args(argv)
    die_with_parent()
    save_memory()
    os.environ.setdefault("MPLBACKEND", "agg")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("xcube").setLevel(logging.WARNING)
    # xcube first asks each store for a pyramid and says so when a plain Zarr has none.
    warnings.filterwarnings("ignore", message="No data opener found", category=UserWarning)
    try:
        settings = read_settings(args.config)
        try:
            settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            message = f"cannot make {settings.state_dir}: {error.strerror}"
            raise BadInputError(message, "check state_dir in the configuration") from error
        CubeServer(settings).run()
    except CubeError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return error.exit_status
    except OSError as error:
        sys.stderr.write(f"error: {error.strerror or error}\nhint: is the port taken by another process?\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
