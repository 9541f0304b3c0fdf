"""Start the console: ``python -m cubehub.console --config FILE``."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from pathlib import Path

from cubehub.console.app import ConsoleSettings, make_app


async def _serve(settings: ConsoleSettings) -> None:
    server = make_app(settings).listen(settings.port, settings.address)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    server.stop()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="The landing page of CubeHub.")
    parser.add_argument("--config", required=True, type=Path)
    content = json.loads(parser.parse_args().config.read_text())
    asyncio.run(_serve(ConsoleSettings.model_validate(content)))


if __name__ == "__main__":
    main()
