"""The process that takes cubes in: on a socket in the state folder, to which the processes in front hand on."""

import asyncio
import contextlib
import logging
import os
import signal

import aiohttp
from aiohttp import web

from xcube_cubehub.beats import BEAT_S, PUBLISHING, Beats
from xcube_cubehub.config import ServerSettings
from xcube_cubehub.fast.published import PUBLISHING_SOCKET
from xcube_cubehub.publishing.api import Api
from xcube_cubehub.publishing.desk import Desk
from xcube_cubehub.publishing.people import People

log = logging.getLogger(__name__)
SWEEP_S = 60.0


def run(settings: ServerSettings, beats: Beats | None = None) -> None:
    """Answer until SIGTERM or SIGINT; and give signs of life to whoever started this and looks for them."""
    # its socket is named without its folder, for such a path may have 107 bytes only
    os.chdir(settings.state_dir)
    # what is written there is for the server alone
    os.umask(0o077)
    asyncio.run(_serve(settings, beats))


async def _serve(settings: ServerSettings, beats: Beats | None) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    beating = None if beats is None else asyncio.create_task(_beat(beats))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    desk = await asyncio.to_thread(Desk, settings)
    # a proxy of the machine is not to see tokens
    async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        people = People(session, settings.hub_api_url, settings.hub_api_token.get_secret_value())
        runner = web.AppRunner(
            Api(desk, people).application(settings.prefix),
            access_log=None,
            shutdown_timeout=3.0,
            keepalive_timeout=1.0,
        )
        await runner.setup()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(PUBLISHING_SOCKET)  # noqa: PTH108 - one call at the start
        await web.UnixSite(runner, PUBLISHING_SOCKET).start()
        sweeping = asyncio.create_task(_sweep(desk))
        await stop.wait()
        sweeping.cancel()
        if beating is not None:
            beating.cancel()
        await runner.cleanup()
    # a cube that is being finished is finished at the next asking; nothing of it is shown before
    os._exit(0)


async def _beat(beats: Beats) -> None:
    while True:
        beats.beat(PUBLISHING)
        await asyncio.sleep(BEAT_S)


async def _sweep(desk: Desk) -> None:
    while True:
        try:
            await asyncio.to_thread(desk.sweep)
        except Exception:
            log.exception("sweeping failed; it is tried again")
        await asyncio.sleep(SWEEP_S)
