"""Rounds of the keeper: scan, plan, tell people, send; and, where the operator lets it, move, archive and purge."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cubehub.errors import CubeHubError
from cubehub.local.data_folder import read_json, write_json
from cubehub.mail.sending import NO_SERVER
from cubehub.storage import clock, erasing, journal, planning
from cubehub.storage import scan as scanning
from cubehub.storage.names import readable
from cubehub.storage.quarantine import Outcome
from cubehub.storage.results import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cubehub.storage.journal import Move
    from cubehub.storage.keeping import Keeping
    from cubehub.storage.planning import Entry

FILE, LOCK, PROGRESS, PAUSED = "rounds.sqlite", "round.lock", "round.json", "paused.json"
_TABLES = """
CREATE TABLE IF NOT EXISTS rounds (id INTEGER PRIMARY KEY, started REAL NOT NULL, ended REAL, by TEXT NOT NULL,
  outcome TEXT NOT NULL, told TEXT NOT NULL);
"""
_TURN_S, _OTHERS_S = 20.0, 1.0
"""For so long a round archives before it lets others in, and for so long it lets them."""
_WANTED_S = 90 * 86400.0
"""For so long a round by itself leaves alone what was brought back; a plan that somebody applies does not."""
_LATER = (
    "a mail that did not go is tried again within the hour, or at once after `cubehub storage mails --again`"
)
RUNNING, DONE, FAILED = "running", "done", "failed"


@dataclass(frozen=True)
class Round:
    """A round: when, who began it, how it ended, and what it did by step."""

    id: int
    started: float
    ended: float | None
    by: str
    outcome: str
    told: dict[str, Any]


class History:
    """The rounds that were made, in the keeper's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(self._folder / FILE, timeout=30)) as made:
                made.executescript(_TABLES)
                with made:
                    yield made
        except (sqlite3.Error, OSError) as error:
            message = f"The history of rounds cannot be used: {self._folder / FILE}: {error}."
            raise CubeHubError(message, "Look at the disk. The file may be moved away.") from error

    def begin(self, by: str, at: float) -> int:
        """Write down that a round has begun."""
        with self._open() as made:
            return int(
                made.execute(
                    "INSERT INTO rounds (started, by, outcome, told) VALUES (?, ?, ?, '{}')",
                    (at, by, RUNNING),
                ).lastrowid
                or 0
            )

    def end(self, number: int, outcome: str, told: dict[str, Any], at: float) -> None:
        """Write down how a round ended."""
        with self._open() as made:
            made.execute(
                "UPDATE rounds SET ended = ?, outcome = ?, told = ? WHERE id = ?",
                (at, outcome, json.dumps(told), number),
            )

    def newest(self, most: int = 50) -> list[Round]:
        """The newest rounds, the newest first."""
        if not (self._folder / FILE).exists():
            return []
        with self._open() as made:
            rows = made.execute(
                "SELECT id, started, ended, by, outcome, told FROM rounds ORDER BY id DESC LIMIT ?", (most,)
            )
            return [Round(*rest, json.loads(told)) for *rest, told in rows]  # type: ignore[call-arg]


# Pauses


def pause(folder: Path, by: str, why: str, at: float) -> None:
    """Make no more rounds until `resume`; one that runs ends before its next step."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(folder / PAUSED, {"by": by, "why": why, "at": at})
    except OSError as error:
        raise _unusable(folder / PAUSED, error) from error


def resume(folder: Path) -> bool:
    """Make rounds again; whether they were paused."""
    try:
        (folder / PAUSED).unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(folder / PAUSED, error) from error
    return True


def paused(folder: Path) -> dict[str, Any] | None:
    """Who paused the rounds, when and why; None if nobody did."""
    if not (folder / PAUSED).exists():
        return None
    # a file that cannot be read is a pause all the same
    return read_json(folder / PAUSED) or {"by": "somebody", "why": "", "at": 0}


def progress(folder: Path) -> dict[str, Any] | None:
    """How far the round is that runs now; None if none does."""
    return read_json(folder / PROGRESS) if _is_running(folder) else None


def _is_running(folder: Path) -> bool:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(folder / LOCK, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(folder / LOCK, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CubeHubError(
                "Another round is being made just now.", "Wait until it is done.", code="busy"
            ) from error
        yield
    finally:
        os.close(lock)


def _unusable(file: Path, error: OSError) -> CubeHubError:
    return CubeHubError(f"{file} cannot be used: {error.strerror}.", "Look at the disk.")


class PausedError(CubeHubError):
    """Rounds are paused."""

    code = "paused"


def make_round(
    keeping: Keeping,
    by: str,
    report: Callable[[str, int, int, str], None],
    *,
    iops: float = 0,
    processes: int = 2,
) -> Round:
    """Make one round.

    Parameters
    ----------
    by : str
        Who began it.
    report : callable
        Told the step, how much of it is done, of how much (0: not known), and in what: ``bytes``, or nothing for a count.
    iops : float
        Names that the scan looks at in a second; 0 for no bound.

    Raises
    ------
    PausedError
        Rounds are paused.
    CubeHubError
        Another round runs, or a step failed: what was done before it holds, and is in the history.
    """
    state = keeping.settings.state
    with _alone(state):
        if (found := paused(state)) is not None:
            raise PausedError(
                f"Rounds are paused by {found['by']}{': ' + found['why'] if found['why'] else ''}.",
                "Go on with `cubehub storage resume`.",
            )
        history = History(state)
        began = keeping.now()
        number = history.begin(by, began)
        told: dict[str, Any] = {}
        steps = _Steps(keeping, told, _reporter(state, began, report))
        try:
            steps.make(iops, processes)
        except BaseException as error:
            told["failed"] = error.message if isinstance(error, CubeHubError) else type(error).__name__
            history.end(number, FAILED, told, keeping.now())
            raise
        finally:
            with suppress(OSError):
                (state / PROGRESS).unlink()
        history.end(number, DONE, told, keeping.now())
        return Round(number, began, keeping.now(), by, DONE, told)


def _reporter(
    state: Path, began: float, report: Callable[[str, int, int, str], None]
) -> Callable[[str, int, int, str], None]:
    """Tells whoever began the round, and, once in a second, the file that pages look at."""
    when, what = float("-inf"), ""

    def tell(step: str, done: int, of: int, unit: str) -> None:
        nonlocal when, what
        report(step, done, of, unit)
        if step != what or time.monotonic() - when > 1:
            when, what = time.monotonic(), step
            with suppress(OSError):  # a full disk keeps pages from telling how far it is, and ends no round
                found = {"step": step, "done": done, "of": of, "unit": unit, "started": began}
                write_json(state / PROGRESS, found)

    return tell


class _Steps:
    def __init__(
        self, keeping: Keeping, told: dict[str, Any], report: Callable[[str, int, int, str], None]
    ) -> None:
        self._keeping, self._told, self._tell = keeping, told, report
        self._item: Move | None = None

    def _report(self, step: str, done: int, of: int, unit: str = "") -> None:
        self._tell(step, done, of, unit)

    def make(self, iops: float, processes: int) -> None:
        doubt = clock.doubt(self._keeping.settings.state)
        self._scan(iops, processes)
        self._check()
        keeping, told = self._keeping, self._told
        self._report("telling people", 0, 0)
        known = keeping.known()
        told["mails"], told["sent"], told["refused"] = keeping.tell(known), 0, 0
        told["mails_waiting"] = keeping.mails_waiting()  # as it stays if none can be sent
        if known.people:
            told["people"] = known.people
        sent = asyncio.run(keeping.send())
        told["sent"], told["refused"] = sent.sent, sent.refused
        told["mails_waiting"] = keeping.mails_waiting()
        if sent.why:
            told["mail"] = sent.why
        elif told["mails_waiting"]:
            told["mail"] = _LATER if keeping.settings.mail().server else NO_SERVER
        plan = keeping.plan()
        waiting = keeping.waiting(plan.entries)
        told["planned"] = len(plan.entries)
        told["planned_bytes"] = sum(e.bytes for e in plan.entries)
        told["waiting"] = len(waiting)
        if not keeping.policy.automatic:
            return
        self._check()
        if doubt:
            told["left"] = doubt
            return
        if plan.excess:
            told["left"] = "The plan moves more than one run may: somebody has to look at it."
        else:
            self._move(plan, waiting)
        self._check()
        self._put_away()

    def _check(self) -> None:
        if (found := paused(self._keeping.settings.state)) is not None:
            raise PausedError(f"The round was ended before its next step: paused by {found['by']}.", "")

    def _scan(self, iops: float, processes: int) -> None:
        settings = self._keeping.settings
        total = len(scanning.homes_in(settings.homes))
        results = Results(settings.state)
        found = scanning.scan(
            settings.homes,
            processes=processes,
            iops=iops,
            scratch=[os.fsencode(path) for path in self._keeping.policy.scratch_folders],
            before=results.before(settings.homes),
            progress=lambda at: self._report("looking at homes", at.homes, total),
        )
        results.add(found)
        self._told["homes"] = found.count
        self._told["unchanged"] = len(found.unchanged)
        self._told["bytes"] = found.bytes

    def _move(self, plan: Any, waiting: dict[tuple[bytes, bytes], str]) -> None:
        keeping = self._keeping
        back = self._brought_back()
        due = [e for e in plan.entries if (e.home, e.path) not in waiting]
        entries = [e for e in due if (e.home, e.path) not in back]
        if len(entries) < len(due):
            self._told["left"] = (
                f"Brought back lately, so left alone by rounds: {len(due) - len(entries)} of that."
            )

        def each(items: list[Entry], act: Callable[[Entry], Outcome]) -> list[Outcome]:
            done = []
            for number, entry in enumerate(items):
                self._report("moving", number, len(items))
                done.append(act(entry))
            return done

        done = []
        if entries:
            text = planning.write(entries, ["made by a round"])
            done = keeping.apply(entries, text, {}, each=each)
        self._count("moved", done)

    def _brought_back(self) -> set[tuple[bytes, bytes]]:
        """What somebody put back where it was, not long ago: its times are as they were, and it would be due again at once."""
        since = self._keeping.now() - _WANTED_S
        moves = journal.read(self._keeping.settings.state, journal.RETURNED)
        return {(m.home, m.path if m.back is None else m.back) for m in moves if m.at >= since}

    def _count(self, key: str, done: list[Outcome]) -> None:
        self._told[key] = sum(not o.why for o in done)
        self._told[f"{key}_bytes"] = sum(o.bytes for o in done if not o.why)

    def _put_away(self) -> None:
        """Archive what people made, then remove from quarantine what is over the hold, and archives whose time is over."""
        keeping = self._keeping
        archived: list[Outcome] = []
        while self._archive_some(archived):
            # whoever comes back to a home that is away, or wants something back, gets in between
            time.sleep(_OTHERS_S)
        self._count("archived", archived)
        with (
            keeping.keeper() as (keeper, made),
            keeping.archivist(keeper, made, self._reading) as archivist,
        ):
            for key, what, act in (
                ("purged", keeping.to_purge(made), archivist.purge),
                ("expired", keeping.to_expire(made), archivist.expire),
            ):
                self._check()
                # written down before, for nobody can look at it afterwards
                keeping.note(
                    key.removesuffix("d"), [Outcome(m.home, m.path, m.bytes, move=m.id) for m in what]
                )
                done = []
                for number, one in enumerate(what):
                    self._report("removing", number, len(what))
                    done.append(act(one))
                self._count(key, done)
            for one in erasing.due(keeping, made):
                ended = erasing.finished(keeping, keeper, archivist, made, one)
                self._told["erased"] = self._told.get("erased", 0) + (not any(o.why for o in ended))

    def _archive_some(self, done: list[Outcome]) -> bool:
        """Archive for a while; whether there is more."""
        keeping, tried = self._keeping, {o.move for o in done}
        with (
            keeping.keeper() as (keeper, made),
            keeping.archivist(keeper, made, self._reading) as archivist,
        ):
            until = time.monotonic() + _TURN_S
            for self._item in [m for m in keeping.to_archive(made) if m.id not in tried]:
                if time.monotonic() >= until:
                    return True
                self._check()
                done.append(archivist.archive(self._item))
        return False

    def _reading(self, what: str, done: int, of: int) -> None:
        assert self._item is not None  # noqa: S101 - nothing is read before there is one
        self._report(f"{what} {readable(self._item.home)}", done, of, "bytes")


def as_json(one: Round) -> dict[str, Any]:
    """A round for programs."""
    return asdict(one)
