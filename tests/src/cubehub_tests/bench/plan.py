"""How long a plan of many homes takes: from what a scan wrote, to a file that a person can read."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from statistics import median

from cubehub.storage import planning
from cubehub.storage.deciding import Owner
from cubehub.storage.keeping import Keeping
from cubehub.storage.results import Results
from cubehub.storage.scan import Scan
from cubehub.storage.settings import StorageSettings
from cubehub.storage.tally import HomeTally, Share, Unit
from pydantic import SecretStr

from cubehub_tests.bench.frame import Case, say

HOMES = 10_000
UNITS, PLACES, LARGE = 40, 60, 5
"""Caches and things in scratch, folders told by name, and large files, of each home."""
NOW, DAY = 1_800_000_000.0, 86400
POLICY = "preset: university\nprofiles: {premium: {idle: off}}\n"


def measure(*, quick: bool) -> list[Case]:
    """Plan for 10,000 homes, and write to their owners; for a quick look for 2,000."""
    count = HOMES // 5 if quick else HOMES
    with tempfile.TemporaryDirectory(prefix="cubehub-plan-") as folder:
        root = Path(folder)
        (root / "config").mkdir()
        (root / "config" / "storage.yaml").write_text(POLICY)
        (root / "config" / "cubehub.yaml").write_text("mail: {server: page}\n")
        settings = StorageSettings(
            data=root, homes=root / "homes", state=root / "state", audit_log=root / "audit.jsonl", config=root / "config",
            public_url="https://hub.example.org", links_secret=SecretStr("s"),
        )  # fmt: skip
        say(f"writing a scan of {count:,} homes")
        began = time.perf_counter()
        Results(settings.state).add(_scan(root, count))
        kept = time.perf_counter() - began
        keeping = Keeping(settings, now=lambda: NOW)
        owners = {f"u{n}": Owner(f"u{n}", f"u{n}@example.org", "en", "standard", 2**40) for n in range(count)}
        keeping.owners = lambda: owners  # type: ignore[method-assign]
        say("planning")
        took, entries = [], 0
        for _ in range(3):
            began = time.perf_counter()
            made = keeping.plan()
            planning.write(made.entries, ["a bench"])
            took.append(time.perf_counter() - began)
            entries = len(made.entries)
        began = time.perf_counter()
        mails = keeping.tell()
        told = time.perf_counter() - began
    return [
        Case("plan", median(took), "s"),
        Case("entries", entries, ""),
        Case("scan written down", kept, "s"),
        Case("notices written", told, "s"),
        Case("mails", mails, ""),
    ]


def _scan(root: Path, count: int) -> Scan:
    rng = random.Random(1)  # noqa: S311 - no secret
    found = Scan(root / "homes", NOW - 60, NOW)
    for number in range(count):
        tally = HomeTally(Share(0, 500, int(NOW - rng.randrange(500) * DAY)), 100, inode=number + 1)
        for unit in range(UNITS):
            kind = ("pip", "uv", "other", "checkpoints", "scratch")[unit % 5]
            used = int(NOW - rng.randrange(400) * DAY)
            tally.units[b"work/%d/cache" % unit] = Unit(kind, unit + 1, Share(rng.randrange(2**28), 9, used))
        for place in range(PLACES):
            tally.places[b"work/%d" % place] = Share(rng.randrange(2**30), 9, int(NOW))
        for large in range(LARGE):
            tally.count_large(
                rng.randrange(2**35), int(NOW - rng.randrange(900) * DAY), b"data/%d.nc" % large, large + 1
            )
        found.homes[b"u%d" % number] = tally
        found.linked[b"u%d" % number] = 0
    return found
