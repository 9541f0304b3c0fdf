"""A keeper that moves, puts back and removes without end, for tests that kill it: ``keeper_loop.py FOLDER SEED``."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from cubehub.storage import journal
from cubehub.storage.journal import QUARANTINED
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper


def main() -> None:
    root, rng = Path(sys.argv[1]), random.Random(int(sys.argv[2]))  # noqa: S311 - no secret
    with journal.opened(root / "state") as made:
        keeper = Keeper(root / "homes", made, lambda _home, _inodes: "")
        keeper.recover()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        run = made.begin_run(str(root / "homes"), "", 0)
        for _ in range(1_000_000):
            names = [n for n in os.listdir(root / "homes" / "ana") if n.startswith("cache")]  # noqa: PTH208
            moves = made.moves(QUARANTINED)
            if names and (not moves or rng.random() < 0.5):
                name = rng.choice(names)
                inode = (root / "homes" / "ana" / name).lstat().st_ino
                keeper.quarantine(run, Entry(b"ana", os.fsencode(name), "pip", 1, 3, 0, 2_000_000_000, inode))
            elif moves and rng.random() < 0.97:
                keeper.put_back(rng.choice(moves))
            elif moves:
                keeper.purge(rng.choice(moves))
            else:
                return


if __name__ == "__main__":
    main()
