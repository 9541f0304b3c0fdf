"""What a person sees of their own home, and does: keep, let go, bring back."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage import journal
from cubehub.storage.deciding import Kept
from cubehub.storage.kinds import KINDS
from cubehub.storage.names import original, readable
from cubehub.storage.notices import record
from cubehub.storage.results import Results
from cubehub.storage.since import Since
from cubehub.storage.whose import account_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub.storage.keeping import Keeping
    from cubehub.storage.notices.record import Noticed
    from cubehub.storage.quarantine import Keeper, Outcome

KEEP_DAYS = 90
LONGEST_DAYS = 365
_MOST_KEPT, _LONGEST_KEPT = 2_000, 2**20
"""Places that a person may keep one by one, and bytes of their paths together: each round reads those of all people."""
_DAY_S = 86400
_LAST = 253402300799
"""The last second of the year 9999."""
_BUSY_S = 30.0
"""For so long a person's wish waits for a run of the keeper to end."""


def moment(seconds: float | None) -> str | None:
    """ISO 8601 in UTC, to the second; what is before or after all years that have four digits at their ends."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LAST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(seconds: float | None) -> str | None:
    """ISO 8601, the day in UTC."""
    found = moment(seconds)
    return found and found[:10]


def a_name(text: str) -> bytes:
    """The bytes of a name that somebody sent.

    Raises
    ------
    BadInputError
        It is no text: JSON can hold halves of letters.
    """
    try:
        return original(text)
    except UnicodeEncodeError as error:
        raise BadInputError(
            f"{text[:80]!a} is no text.", "Take it from the list as it stands there."
        ) from error


def a_path(text: object) -> bytes:
    """The path from a home that somebody sent.

    Raises
    ------
    BadInputError
        It is none.
    """
    if not isinstance(text, str) or len(text) > 16_384:
        raise BadInputError(
            "path must be a text.", 'Send one such as "scratch/old", or "" for the whole home.'
        )
    path = a_name(text)
    parts = path.split(b"/") if path else []
    if b"\0" in path or any(part in {b"", b".", b".."} for part in parts):
        raise BadInputError(
            f"{text[:80]!r} is no path below your home.", "Take it from the list as it stands there."
        )
    return path


def _reason(one: Noticed) -> str:
    """What it is, and since when nobody used it."""
    return f"{KINDS[one.kind]}; {f'last used {day(one.newest)}' if one.newest else 'never used'}"


class Mine:
    """One person's view of their home.

    Parameters
    ----------
    home : bytes
        Name of the home.
    username : str
        Whose it is.
    """

    def __init__(self, keeping: Keeping, home: bytes, username: str) -> None:
        self._keeping, self._home, self._username = keeping, home, username

    def describe(self, limit: int | None) -> dict[str, Any]:
        """All of it, as the API tells.

        Parameters
        ----------
        limit : int or None
            Bytes that the person's profile gives to a home.
        """
        now = self._keeping.now()
        with record.opened(self._keeping.settings.state) as told:
            noticed, kept = told.open_ones(self._home), told.kept(now, self._home)
        return {
            "home": readable(self._home),
            "limit_bytes": limit,
            "scan": self._scan(),
            "noticed": [
                {
                    "path": readable(one.path), "kind": one.kind, "reason": _reason(one), "bytes": one.bytes,
                    "when": day(one.due), "notice": 2 if one.second_sent else 1,
                }
                for one in noticed
            ],
            "away": [self._away(one) for one in self._moves()],
            "kept": [{"path": readable(k.path), "until": day(k.until), "by": k.by} for k in kept],
        }  # fmt: skip

    def _scan(self) -> dict[str, Any] | None:
        scans = Results(self._keeping.settings.state).scans()
        if not scans:
            return None
        last, name = scans[0], readable(self._home)
        still = Since(self._keeping.settings.state, last, name)
        if not still.homes:
            return None
        home, details = still.homes[0], still.details(name)
        return {
            "ended": moment(last.ended),
            "bytes": home.bytes,
            "files": home.files,
            "places": [
                {"path": path, "bytes": s.bytes, "files": s.files, "newest": s.newest}
                for path, s in details.places
            ],
            "caches": [
                {"kind": kind, "bytes": share.bytes, "about": KINDS[kind]}
                for kind, share in sorted(home.caches.items(), key=lambda item: -item[1].bytes)
            ],
            "large": [
                {"path": path, "bytes": size, "newest": newest} for path, size, newest in details.large[:50]
            ],
        }

    def _moves(self) -> list[journal.Move]:
        found = journal.read(self._keeping.settings.state, *journal.AWAY)
        account = account_of(self._keeping.settings.homes, self._home)
        return [
            one
            for one in found
            # not what was an earlier account's of the same name
            if one.home == self._home and one.restorable and one.account in {None, account}
        ]

    def _away(self, one: journal.Move) -> dict[str, Any]:
        until = self._keeping.kept_until(one)
        return {
            "number": one.id, "path": readable(one.path), "kind": one.kind, "bytes": one.bytes, "state": one.state,
            "since": moment(one.at), "until": day(until), "archived": bool(one.seal),
        }  # fmt: skip

    # What a person does

    def keep(self, path: bytes, days: int) -> None:
        """Keep a path for some days.

        Raises
        ------
        BadInputError
            The number of days is none that one may have, or one keeps very much already.
        """
        with record.opened(self._keeping.settings.state) as told:
            kept = [k for k in told.kept(self._keeping.now(), self._home) if k.by == "you" and k.path != path]
        if len(kept) >= _MOST_KEPT or sum(len(k.path) for k in kept) + len(path) > _LONGEST_KEPT:
            raise BadInputError(
                f"You keep {len(kept):,} places, and no more can be remembered.",
                "Let some go, or put a file `.cubehub-keep` into a folder above them.",
            )
        self.keep_all([path], days)

    def keep_all(self, paths: list[bytes], days: int) -> None:
        """Keep what one was told of, or got back, however much it is.

        Raises
        ------
        BadInputError
            As above, of the days.
        """
        if not 1 <= days <= LONGEST_DAYS:
            raise BadInputError(
                f"days must be from 1 to {LONGEST_DAYS}.", "For longer put a file `.cubehub-keep` there."
            )
        now = self._keeping.now()
        with record.opened(self._keeping.settings.state) as told:
            told.keep_all(
                [Kept(self._home, path, now + days * _DAY_S, "you") for path in paths], self._username, now
            )

    def let_go(self, path: bytes) -> None:
        """Keep a path no longer.

        Raises
        ------
        BadInputError
            The person did not keep it.
        """
        with record.opened(self._keeping.settings.state) as told:
            if not told.let_go(self._home, path, "you"):
                raise BadInputError(
                    f"You do not keep {readable(path) or 'your home'!r}.",
                    "What a file `.cubehub-keep` or an administrator keeps is not yours to take back here.",
                )

    def restore(self, number: int, only: bytes | None) -> Outcome:
        """Bring something back, or one file or folder of it.

        Raises
        ------
        BadInputError
            It is not there, or not the person's.
        CubeHubError
            It cannot be brought back now, and why.
        """
        with self._alone() as (keeper, made):
            there = made.moves(*journal.AWAY)
            wanted = {m.id for m in self._moves()}
            one = next((m for m in there if m.id == number and m.id in wanted), None)
            if one is None:
                raise BadInputError(
                    f"There is nothing of yours with the number {number}.", "See the list for what there is."
                )
            done = self._keeping.bring_back(keeper, made, one, only)
            if not done.why:
                # who brings something back wants it; its times are as they were, so it would be due again at once
                self.keep_all([done.path], KEEP_DAYS)
            self._keeping.note("restore", [done])
            if done.why:
                raise CubeHubError(
                    f"It cannot be brought back: {done.why}.",
                    "It stays where it is. Ask your administrator if it happens again.",
                    code="not_restored",
                )
            return done

    @contextmanager
    def _alone(self) -> Iterator[tuple[Keeper, journal.Journal]]:
        """The keeper, for this wish alone; waits for a run that goes on."""
        until = time.monotonic() + _BUSY_S
        with ExitStack() as stack:
            while True:
                try:
                    found = stack.enter_context(self._keeping.keeper())
                except CubeHubError as error:
                    if error.code != "busy" or time.monotonic() > until:
                        raise
                    time.sleep(0.2)
                else:
                    break
            yield found

    def inside(self, number: int, most: int = 1000) -> list[dict[str, Any]]:
        """What is in something that is away, the first of it.

        Raises
        ------
        BadInputError
            It is not there, or not the person's.
        """
        one = next((m for m in self._moves() if m.id == number), None)
        if one is None:
            raise BadInputError(
                f"There is nothing of yours with the number {number}.", "See the list for what there is."
            )
        found = self._keeping.inside(one, most)
        return [{"path": readable(path), "bytes": size, "folder": folder} for path, size, folder in found]
