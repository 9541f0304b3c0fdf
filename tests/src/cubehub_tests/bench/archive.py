"""What it takes to archive a home: ours, with its manifest and on the disk, beside `tar | zstd`."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from cubehub_tests.bench.frame import Case, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SMALL, RASTERS, RANDOM = 20_000, 8, 4
"""Files of a full run; a quick one has a fifth of each."""
PACK = """
import os, sys
from cubehub.storage.archive import opened, pack
store, at = opened(sys.argv[2]), os.open(sys.argv[1], os.O_RDONLY)
with store.put("1.tar.zst") as sink, store.put("1.jsonl.zst") as listing:
    seal = pack(at, b"home", sink, listing).seal
print(seal.archive, seal.manifest)
"""
VERIFY = """
import sys
from cubehub.storage.archive import Seal, opened, verify
store = opened(sys.argv[2])
with store.open("1.tar.zst") as source, store.open("1.jsonl.zst") as listing:
    verify(source, listing, Seal(*sys.argv[3:5]))
"""
COMPRESS = """
import sys, zstandard
with open(sys.argv[1], "wb") as out:
    zstandard.ZstdCompressor(level=3, threads=2, write_checksum=True).copy_stream(sys.stdin.buffer, out, read_size=1 << 20)
"""


def measure(*, quick: bool) -> list[Case]:
    """Archive a home of two gigabytes as each tool does; a fifth of it for a quick look."""
    root = _tree(5 if quick else 1)
    out = Path(tempfile.mkdtemp(prefix="archives-", dir=root.parent))
    if shutil.which("zstd"):
        compress, peer = f"zstd -q -T2 -o {out}/peer", "tar, zstd -T2"
    else:
        (out / "compress.py").write_text(COMPRESS)
        compress = f"{sys.executable} {out}/compress.py {out}/peer"
        peer = "tar, two threads of the same zstd library: no zstd command here"
    kept = out / "kept"
    tools = {
        "ours": [sys.executable, "-c", PACK, str(root), str(kept)],
        "tar": ["sh", "-c", f"tar -C {root} -cf - home | {compress} && sync {out}/peer"],
    }
    try:
        say("measuring")
        took = _rounds(tools, 3 if quick else 5, out)
        seal = subprocess.run(tools["ours"], check=True, capture_output=True, text=True).stdout.split()
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", VERIFY, str(root), str(kept), *seal], check=True)
        read_back = time.perf_counter() - began
        ours_bytes, peer_bytes = ((out / name).stat().st_size / 2**20 for name in ("kept/1.tar.zst", "peer"))
        shutil.rmtree(kept)
        return [
            Case("tar", took["ours"], "s", took["tar"], None, peer),
            Case("size", ours_bytes, "MiB", peer_bytes, None, peer),
            Case("read back and verified", read_back, "s"),
            Case("rss", _most_memory(tools["ours"]), "MiB"),
        ]
    finally:
        shutil.rmtree(out)


def _rounds(tools: Mapping[str, Sequence[str]], count: int, out: Path) -> dict[str, float]:
    """The median wall time of each tool, one after another in each round; a round that is not counted goes first."""
    took: dict[str, list[float]] = {name: [] for name in tools}
    for round_ in range(count + 1):
        for name, command in tools.items():
            shutil.rmtree(out / "kept", ignore_errors=True)
            (out / "peer").unlink(missing_ok=True)
            os.sync()
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if round_:
                took[name].append(time.perf_counter() - began)
    shutil.rmtree(out / "kept", ignore_errors=True)
    return {name: median(times) for name, times in took.items()}


def _tree(part: int) -> Path:
    """Write a home as people have it, kept between runs: many small texts, some rasters, some that cannot be compressed."""
    kept = Path(os.environ.get("CUBEHUB_BENCH_CACHE") or Path(tempfile.gettempdir()) / "cubehub-bench-homes")
    root = kept / f"archive-{part}"
    done = kept / f"archive-{part}.done"
    if done.exists():
        return root
    say("writing a home")
    shutil.rmtree(root, ignore_errors=True)
    rng, noise = random.Random(1), np.random.default_rng(1)  # noqa: S311 - no secret
    words = ["".join(rng.choices("etaoinshrdlu_=(). ", k=rng.randint(2, 9))) for _ in range(20_000)]
    text = " ".join(rng.choices(words, k=8_000_000)).encode()
    for number in range(SMALL // part):
        folder = root / "home" / f"project{number % 40}" / f"part{number // 40 % 12}"
        folder.mkdir(parents=True, exist_ok=True)
        size = min(int(rng.lognormvariate(8.6, 1.2)), 1_000_000)
        begin = rng.randrange(len(text) - size)
        (folder / f"file{number}.py").write_bytes(text[begin : begin + size])
    data = root / "home" / "data"
    data.mkdir()
    line = np.linspace(0, 20, 8_750)
    for number in range(max(1, RASTERS // part)):
        smooth = 1_500 * np.sin(line[:, None] + number) * np.cos(line[None, :] / 3)
        (smooth + noise.normal(0, 12, smooth.shape)).astype("<i2").tofile(data / f"scene{number}.dat")
    for number in range(max(1, RANDOM // part)):
        (data / f"picture{number}.jp2").write_bytes(rng.randbytes(100_000_000))
    os.sync()
    done.touch()
    return root


def _most_memory(command: Sequence[str]) -> float:
    """The most that the process held."""
    probe = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    told = subprocess.run(
        [sys.executable, "-c", probe, *command], check=True, capture_output=True, text=True
    ).stdout
    return int(told) / 1024
