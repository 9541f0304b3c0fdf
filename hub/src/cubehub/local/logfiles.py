"""Keeps log files small while programs go on writing to them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

log = logging.getLogger("cubehub.up")

LIMIT = 20 * 1024 * 1024
"""The newest lines of a log file above this, so many bytes, become its `.log.1`. So a log takes at most about twice that."""


def trim(folder: Path, limit: int = LIMIT) -> list[str]:
    """Move the newest lines of too large log files into a second file each, empty them, and give their names.

    Notes
    -----
    The file itself stays and is emptied, since the program that writes keeps it open; it must write
    at the end (O_APPEND). Lines that come between the copy and the emptying are lost, which is the price
    of not standing between a program and its log: a pipe that nobody reads would stop the program.
    On a full disk the copy is left out: the limit is what was promised.
    """
    trimmed = []
    for file in sorted(folder.glob("*.log")):
        try:
            if file.stat().st_size <= limit:
                continue
            _keep(file, limit)
            os.truncate(file, 0)
        except OSError as error:
            log.warning("%s could not be shortened: %s", file.name, error)
        else:
            trimmed.append(file.name)
    return trimmed


async def keep_trimmed(folders: Iterable[Path], limit: int, every_s: float, stop: asyncio.Event) -> None:
    """Trim the log files of folders now and then, until told to stop."""
    while not stop.is_set():
        for folder in folders:
            for name in await asyncio.to_thread(trim, folder, limit):
                log.info("%s had grown too large; its lines are in %s.1 now", name, name)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)


def _keep(file: Path, limit: int) -> None:
    old, scratch = file.with_suffix(".log.1"), file.with_suffix(".log.new")
    old.unlink(missing_ok=True)
    try:
        scratch.write_bytes(_newest_lines(file, limit))
        shutil.copymode(file, scratch)
        scratch.replace(old)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        log.warning("the old lines of %s could not be kept: %s", file.name, error)


def _newest_lines(file: Path, limit: int) -> bytes:
    """Whole lines, as many as fit; of a longer one its end."""
    with file.open("rb") as record:
        cut = record.seek(max(record.seek(0, os.SEEK_END) - limit - 1, 0)) > 0
        newest = record.read(limit + 1)
    if not cut:
        return newest
    _, _, whole = newest.partition(b"\n")
    return whole or newest[1:]
