"""The keeper is killed at any moment, on several file systems: each folder is home, or in quarantine, or written down as removed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cubehub.storage import journal
from cubehub.storage.journal import PURGED, PURGING, QUARANTINED
from cubehub.storage.quarantine import FOLDER, ITEM, Keeper

KILLS = int(os.environ.get("CUBEHUB_KILLS", "120"))
"""In the ordinary run few; 2,000 and more by hand."""
LOOP = Path(__file__).with_name("keeper_loop.py")
CACHES = 40


def caches(root: Path) -> None:
    for number in range(CACHES):
        folder = root / "homes" / "ana" / f"cache{number}" / "a"
        folder.mkdir(parents=True)
        for name in ("one", "two", "three"):
            (folder / name).write_text(str(number))


def killed_and_whole(root: Path, kills: int) -> None:
    """Start the keeper, kill it, look; again and again, until all is removed or it was killed often enough."""
    rng = random.Random(1)  # noqa: S311 - no secret
    removed: set[int] = set()
    for seed in range(kills):
        process = subprocess.Popen([sys.executable, str(LOOP), str(root), str(seed)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(rng.random() ** 2 * 0.05)
        process.kill()
        process.wait()
        process.stdout.close()
        with journal.opened(root / "state") as made:
            keeper = Keeper(root / "homes", made, lambda _home, _inodes: "")
            keeper.recover()
            keeper.close()
            purged = len(made.moves(PURGED))
            assert not made.moves(PURGING)
        now = set(range(CACHES)) - whole(root)
        assert removed <= now, "what was removed is back"
        assert len(now) == purged, "what is not there is written down as removed"
        removed = now
        if len(removed) == CACHES:
            break


def whole(root: Path) -> set[int]:
    """Which caches are there with all of their files, in a home or in quarantine; one that is being removed is none."""
    found: list[int] = []
    with journal.opened(root / "state") as made:
        going = {m.id for m in made.moves(PURGING, PURGED)}
        quarantined = {m.id for m in made.moves(QUARANTINED)}
    away = root / "homes" / os.fsdecode(FOLDER)
    slots = [
        p / os.fsdecode(ITEM)
        for p in away.iterdir()
        if int(p.name) not in going and (p / os.fsdecode(ITEM)).exists()
    ]
    assert quarantined <= {int(p.parent.name) for p in slots}
    for folder in (*(p for p in (root / "homes" / "ana").iterdir()), *slots):
        texts = [file.read_text() for file in (folder / "a").iterdir()]
        assert len(texts) == 3
        assert len(set(texts)) == 1
        found.append(int(texts[0]))
    assert len(found) == len(set(found)), "one is in two places"
    return set(found)


def test_killed_again_and_again(tmp_path: Path) -> None:
    caches(tmp_path)
    killed_and_whole(tmp_path, KILLS)


MOUNTS = {
    "tmpfs": 'mount -t tmpfs tmpfs "$1"',
    "overlay": 'mount -t tmpfs tmpfs "$1" && mkdir "$1/l" "$1/u" "$1/w" "$1/m" && '
    'mount -t overlay -o "lowerdir=$1/l,upperdir=$1/u,workdir=$1/w" overlay "$1/m"',
}
INSIDE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_kills
root = Path(sys.argv[1])
if (root / "m").exists():
    root = root / "m"
test_kills.caches(root)
test_kills.killed_and_whole(root, int(sys.argv[3]))
"""


@pytest.mark.parametrize("kind", sorted(MOUNTS))
def test_on_other_file_systems(tmp_path: Path, kind: str) -> None:
    ended = subprocess.run(
        [
            "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{MOUNTS[kind]} && exec "$2" -c "$3" "$1" "$4" "$5"', "sh",
            str(tmp_path), sys.executable, INSIDE, str(Path(__file__).parent), str(max(10, KILLS // 6)),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
