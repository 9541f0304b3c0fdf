"""xcube's server, guarded, in a process of its own behind those that people reach."""

import contextlib
import json
import logging
import signal
import time
from typing import Any

import numpy as np

from xcube_cubehub.config import Cubes, ServerSettings
from xcube_cubehub.errors import ConfigError, CubeError
from xcube_cubehub.fast import published as front
from xcube_cubehub.fast.colours import Palettes
from xcube_cubehub.issuer import PATIENCE_S, Issuer
from xcube_cubehub.publishing.records import Registry
from xcube_cubehub.render import all_cubes, norms, published, shown, signature

log = logging.getLogger(__name__)
LOOK_AGAIN_MS = 1000
TRIES = 5
"""How often a cube that cannot be opened is tried again; after that, when something changes."""


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


def be_patient() -> None:
    """Have xcube give up on a bucket that does not answer: by default that takes ten minutes, of a thread that others need."""
    import fsspec.config  # noqa: PLC0415

    limits = {"connect_timeout": 3, "read_timeout": 8, "retries": {"total_max_attempts": 2}}
    fsspec.config.conf["s3"] = {"config_kwargs": limits, "use_listings_cache": False}


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
    cookie_key : bytes
        By which all processes open the cookie for images.

    Raises
    ------
    ConfigError
        ``cubes.yaml`` cannot be used.
    """

    def __init__(self, settings: ServerSettings, cookie_key: bytes) -> None:
        # Imported here, so that a mistake in a file is told before xcube's four seconds of imports.
        self._settings = settings
        self._registry = Registry(settings.published)
        now_s = time.time()
        self._cubes: Cubes = all_cubes(settings, self._registry, now_s)
        self._seen = signature(settings.cubes_yaml, settings.folder, self._registry, now_s)

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

        be_patient()
        dask.config.set(scheduler="threads", num_workers=2)
        now = self._published = published(settings, self._cubes)
        issuer, cookie = Issuer(settings.issuer, fetch), ImageCookie(cookie_key)
        self.services: Services = Services(
            settings=settings,
            callers=Callers(TokenVerifier(issuer, settings.audience), Liveness(issuer), cookie),
            cookie=cookie,
            policy=now.policy,
        )
        self._opened = contexts.install(
            lambda: self.services.policy,
            lambda: norms(self._cubes),
            lambda ds_id: self._published.near_empty.get(ds_id, frozenset()),
            lambda: self._published.stamps,
        )
        self._tries = TRIES
        self._save(now.config)
        init_plugins()
        framework = get_framework_class(FRAMEWORK)(self.services)
        self.server: Server = Server(framework, now.config)
        if not isinstance(self.server.ctx.get_api_ctx("datasets"), contexts.GuardedDatasetsContext):
            message = "xcube made its own datasets context instead of the guarded one"
            raise CubeError(message, "this version of xcube does not fit; install the locked environment")
        registry = self.server.ctx.get_api_ctx("datasets").colormap_registry
        Palettes.write(settings.state_dir / front.PALETTES, palettes(registry))
        self._tell()
        self.services.ready = True

    def _tell(self) -> None:
        """Tell the processes in front what there is."""
        folder = self._settings.state_dir
        told = shown(self._settings, self._cubes, self._published.policy)
        front.write(folder / front.PUBLISHED, told)
        sites = tuple(self._cubes.embed)
        self.services.showing.tell(told, self._published.config, sites, folder / front.PALETTES)

    def _save(self, config: dict[str, Any]) -> None:
        """Keep the rendered configuration where an operator can look at it."""
        path = self._settings.state_dir / "server.json"
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")

    def look_again(self) -> None:
        """Publish what was built, rebuilt or listed since the last look."""
        now_s = time.time()
        seen = signature(self._settings.cubes_yaml, self._settings.folder, self._registry, now_s)
        again = self._tries if self._opened.failed else 0
        if seen == self._seen and not again:
            return
        self._tries = TRIES if seen != self._seen else again - 1
        try:
            self._cubes = all_cubes(self._settings, self._registry, now_s)
        except ConfigError as error:
            self._seen = seen
            log.error("%s; serving as before", error.message)  # noqa: TRY400 - the message says it all
            return
        now = self._published = published(self._settings, self._cubes)
        # Rules first: between the two lines a cube is rather hidden than open.
        self.services.policy = now.policy
        try:
            self._tell()
            self._save(now.config)
            self.server.update(now.config)
        except OSError as error:
            # Those in front must not go on with what is not so any more; without their list they hand on everything
            self._untell()
            log.error("cannot tell what is published: %s; it is tried again", error.strerror)  # noqa: TRY400
            return
        self._seen = seen
        log.info("published anew: %d cubes", len(now.policy.rules))

    def _untell(self) -> None:
        """Take the list away, which a full disk allows."""
        with contextlib.suppress(OSError):
            (self._settings.state_dir / front.PUBLISHED).unlink(missing_ok=True)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        from tornado.ioloop import IOLoop, PeriodicCallback  # noqa: PLC0415

        loop = IOLoop.current()

        def stop(_number: int, _frame: object) -> None:
            loop.add_callback_from_signal(self.server.stop)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        PeriodicCallback(self.look_again, LOOK_AGAIN_MS).start()
        self.server.start()


def palettes(registry: Any) -> dict[str, np.ndarray]:
    """Colours of all colour maps by name, shape (n, 4); also those that run the other way or fade in.

    Notes
    -----
    As xcube paints: 255 times the colour, cut off.
    """
    found = {}
    for name in registry.colormaps:
        for variant in (name, f"{name}_r", f"{name}_alpha", f"{name}_r_alpha"):
            cmap, colormap = registry.get_cmap(variant)
            if colormap.cm_type != "categorical" and cmap.N <= 256:
                found[variant] = (255 * cmap(np.arange(cmap.N))).astype(np.uint8)
    return found
