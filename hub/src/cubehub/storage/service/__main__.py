"""Start the storage service: ``python -m cubehub.storage.service --config FILE``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from pathlib import Path

from cubehub.storage.service.app import LIMITS, make_app
from cubehub.storage.service.office import make_office
from cubehub.storage.service.schedule import Schedule
from cubehub.storage.settings import StorageSettings


async def _serve(settings: StorageSettings) -> None:
    schedule = Schedule(settings)
    server = make_app(make_office(settings, schedule)).listen(settings.port, settings.address, **LIMITS)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    rounds = asyncio.create_task(schedule.run())
    await stop.wait()
    server.stop()
    rounds.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await rounds


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="What fills people's homes, and what is done about it.")
    parser.add_argument("--config", required=True, type=Path)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    for name in ("httpx", "httpcore", "tornado.access"):
        logging.getLogger(name).setLevel(logging.ERROR)
    asyncio.run(_serve(StorageSettings.model_validate_json(parser.parse_args().config.read_bytes())))


if __name__ == "__main__":
    main()
