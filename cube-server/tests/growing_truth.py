"""A cube that a real builder grows on request, and what each of its days may show at any moment."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

FIRST_DAY = 17_000
"""2016-07-18."""
BUILDER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_growing import Recipe, build
print("ready", flush=True)
for line in sys.stdin:
    build(Recipe(), {int(d): v for d, v in json.loads(line).items()}, Path(sys.argv[1]))
    print("done", flush=True)
"""


@dataclass
class Version:
    """One version of a day: from when on it may be seen, and until when; seconds of the monotonic clock."""

    number: int
    begun: float
    done: float | None = None
    gone: float | None = None


@dataclass
class Truth:
    """By day its versions. A day's pixels all have the value ``day + number / 100``."""

    days: dict[int, list[Version]] = field(default_factory=dict)

    def allowed(self, day: int, since: float, until: float) -> set[int]:
        """Versions that an answer may show which was asked for at one time and came at another."""
        return {
            v.number
            for v in tuple(self.days.get(day, ()))
            if v.begun <= until and (v.gone is None or v.gone >= since)
        }

    def settled(self, since: float) -> set[int]:
        """Days that whoever asks at that time has to see.

        The builder's own thread adds days meanwhile, so it is copies that are gone through: ``list`` and
        ``tuple`` take a dictionary and a list in one step.
        """
        return {
            day
            for day, all_ in list(self.days.items())
            if any(v.done is not None and v.done <= since for v in tuple(all_))
        }


class Builder:
    """A builder in a process of its own.

    Parameters
    ----------
    cube : path
        Its folder.
    """

    def __init__(self, cube: Path) -> None:
        self.cube, self.truth, self.wanted = cube, Truth(), {}
        self.kills = self.builds = 0
        self._start()

    def _start(self) -> None:
        here = str(Path(__file__).parent)
        self.process = subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(self.cube), here],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def build(self, changes: dict[int, int], kill_after: float | None = None) -> None:
        """Bring days to versions, and return when that is done; killed on the way, the same is built once more."""
        begun = time.monotonic()
        for day, number in changes.items():
            self.wanted[day] = number
            self.truth.days.setdefault(day, []).append(Version(number, begun))
        if kill_after is not None:
            self._ask()
            time.sleep(kill_after)
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self._let_go()
            self.kills += 1
            self._start()
        self._ask()
        while (said := self.process.stdout.readline()) and said != "done\n":
            pass
        assert said == "done\n", "the builder failed"
        done = time.monotonic()
        self.builds += 1
        for day in changes:
            *before, latest = self.truth.days[day]
            latest.done = done
            for version in before:
                version.gone = version.gone or done

    def _ask(self) -> None:
        self.process.stdin.write(json.dumps(self.wanted) + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait(60)
        self._let_go()

    def _let_go(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
