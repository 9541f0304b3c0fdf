"""Things that go between home, quarantine and archive at random, and where each is afterwards; for power_cut.py and kills.py."""

from __future__ import annotations

import hashlib
import os
import random
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError
from cubehub.storage import journal
from cubehub.storage.archive import Seal, contents, verify
from cubehub.storage.archivist import Archivist
from cubehub.storage.grounds import FOLDER, ITEM
from cubehub.storage.journal import ARCHIVED, EXPIRED, PURGED, QUARANTINED, RETURNED, Move
from cubehub.storage.kinds import MADE
from cubehub.storage.places import ARCHIVE, LISTING
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from cubehub.storage.archive import Store
    from cubehub.storage.quarantine import Outcome

FILES = ("one", "two", "three")
KINDS = ("pip", "scratch", "large")
GONE = {PURGED, EXPIRED}
SEALED = {ARCHIVED, PURGED, RETURNED}
"""States with an archive, or perhaps with one."""
WEIGHTS = {"away": 4, "archive": 6, "purge": 6, "unpack": 6, "back": 3, "remove": 2, "expire": 1, "forget": 1}
STATE_AFTER = {
    "away": QUARANTINED, "archive": ARCHIVED, "purge": PURGED, "unpack": RETURNED,
    "back": RETURNED, "remove": PURGED, "expire": EXPIRED,
}  # fmt: skip
"""What is told of a thing once that was done to it."""


def kind_of(number: int) -> str:
    """A third are caches, which have no archive; the others are what somebody made."""
    return KINDS[number % len(KINDS)]


def text_of(number: int) -> str:
    """What is in each file of a thing: of some more than a page, and nothing that can be compressed to one."""
    return f"{number}\n" + random.Random(number).randbytes(number % 4 * 10_000).hex()  # noqa: S311 - no secret


def number_of(path: bytes) -> int:
    found = re.search(rb"(?:^|/)p(\d+)", path)
    assert found, path
    return int(found[1])


def fill(folder: Path, number: int) -> None:
    """A thing as somebody makes it."""
    (folder / "a").mkdir(parents=True)
    for name in FILES:
        (folder / "a" / name).write_text(text_of(number))


# What is done


@contextmanager
def at_work(
    homes: Path, state: Path, store: Store, step: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[Keeper, Archivist, journal.Journal]]:
    """A keeper with an archivist, which have not recovered yet."""
    with journal.opened(state) as made:
        keeper = Keeper(homes, made, lambda _home, _inodes: "", step)
        try:
            yield keeper, Archivist(keeper, made, store, step=lambda name: step(f"archivist {name}")), made
        finally:
            keeper.close()


def recover(keeper: Keeper, archivist: Archivist, made: journal.Journal) -> list[Outcome]:
    """Recover as the platform does: first what needs no archives, and nobody knows how long after that the rest."""
    return [*keeper.recover(), *Archivist(keeper, made, None).recover(), *archivist.recover()]


@dataclass(frozen=True)
class Act:
    """Something that can be done now."""

    what: str
    number: int
    path: bytes
    inode: int = 0
    move: Move | None = None
    home: str = "ana"


def possible(homes: Path, below: str, made: journal.Journal, of: str = "ana") -> list[Act]:
    """All that can be done for a person; nothing that comes to be before the end of its time is left out."""
    acts = []
    for move in made.moves(QUARANTINED, *SEALED):
        if move.home != of.encode():
            continue
        what: tuple[str, ...] = ()
        if move.state == QUARANTINED:
            what = ("back", "archive" if move.kind in MADE else "remove")
        elif move.state == ARCHIVED:
            what = ("back", "purge")
        elif move.seal is not None:
            what = ("unpack", "expire") if move.state == PURGED else ("forget",)
        acts += [Act(one, number_of(move.path), move.path, move=move, home=of) for one in what]
    home = homes / of / below
    for folder in home.iterdir() if home.exists() else ():
        path = os.fsencode(folder.relative_to(homes / of))
        acts.append(Act("away", number_of(path), path, folder.lstat().st_ino, home=of))
    return acts


def chosen(acts: list[Act], rng: random.Random) -> Act:
    """One of the acts, so that each kind of them has its turns."""
    kinds = sorted({act.what for act in acts})
    (kind,) = rng.choices(kinds, [WEIGHTS[one] for one in kinds])
    return rng.choice([act for act in acts if act.what == kind])


def do(act: Act, run: int, keeper: Keeper, archivist: Archivist) -> Outcome:
    if act.move is None:
        entry = Entry(act.home.encode(), act.path, kind_of(act.number), 2**40, 3, 0, 2**40, act.inode)
        return keeper.quarantine(run, entry)
    each = {
        "back": archivist.bring_back, "unpack": archivist.bring_back, "archive": archivist.archive,
        "purge": archivist.purge, "remove": archivist.purge, "expire": archivist.expire, "forget": archivist.expire,
    }  # fmt: skip
    return each[act.what](act.move)


def is_gone(act: Act) -> bool:
    """Whether an act was the end of a thing."""
    return act.what in {"remove", "expire"}


# What is so


class Look:
    """What is where, and what is wrong with that: nothing if all bytes of each thing are where the journal says.

    Parameters
    ----------
    numbers : collection of int
        What was ever made.
    coming : int
        What somebody may just be making: whatever is so of it is right.
    known : set
        Archives that were found to be whole: those that are still the same files are not read again.
    home_of : callable
        Whose each thing is.
    """

    def __init__(
        self,
        homes: Path,
        state: Path,
        store: Store,
        kept: Path,
        numbers: Collection[int],
        coming: int = -1,
        known: set[tuple[object, ...]] | None = None,
        home_of: Callable[[int], str] = lambda _: "ana",
    ) -> None:
        self._home_of = home_of
        self._homes, self._store, self._kept, self._numbers = homes, store, kept, numbers
        self._coming, self._known = coming, set() if known is None else known
        self.wrong: list[str] = []
        self.moves = journal.read(state, *journal.STATES)
        self.places = self._places()
        self.last = {number_of(move.path): move for move in self.moves}
        self.states = {number: self._one(number) for number in sorted(numbers)}
        self._slots()
        self._archives()

    def _places(self) -> dict[int, list[str]]:
        """Where each thing is whole; a copy that is in part is wrong."""
        found: dict[int, list[str]] = {}
        for file in self._homes.rglob("one"):
            folder = file.parent
            at = str(folder.relative_to(self._homes))
            texts = {(folder / name).read_text() if (folder / name).exists() else "" for name in FILES}
            first = min(texts).partition("\n")[0]
            # a cut leaves zeros where a file's length was on the disk and its content was not
            number = int(first) if first.isdigit() else -1
            if texts == {text_of(number)} and number in self._numbers:
                found.setdefault(number, []).append(at)
            elif folder.parent.name != f"p{self._coming}" and number != self._coming:
                self.wrong.append(f"{at} is not whole: {[text[:9] for text in texts]}")
        return found

    def _one(self, number: int) -> str:
        """Look at one thing; its state."""
        move, places = self.last.get(number), self.places.get(number, [])
        is_so = RETURNED if move is None else move.state
        expected = None
        if is_so == RETURNED:
            expected = f"{self._home_of(number)}/"
        elif is_so in journal.IN_QUARANTINE:
            assert move is not None
            expected = f"{os.fsdecode(FOLDER)}/{move.id}/{os.fsdecode(ITEM)}/"
        elif is_so not in GONE:
            self.wrong.append(f"{number} is {is_so} after a recovery")
        if len(places) != (expected is not None) or (expected and not places[0].startswith(expected)):
            self.wrong.append(f"{number} is in {places or 'no place'}, and the journal says {is_so}")
        if is_so == PURGED and move is not None and move.kind in MADE and move.seal is None:
            self.wrong.append(f"{number} was removed without an archive")
        return is_so

    def _slots(self) -> None:
        ours = {str(move.id) for move in self.moves if move.state in journal.IN_QUARANTINE}
        for slot in (self._homes / os.fsdecode(FOLDER)).glob("[!.]*"):
            if slot.name not in ours:
                names = [str(path.relative_to(slot)) for path in slot.rglob("*")]
                self.wrong.append(f"left in quarantine: {slot.name} {names}")
            elif [path.name for path in slot.iterdir()] != [os.fsdecode(ITEM)]:
                self.wrong.append(f"left beside what is in quarantine: {[p.name for p in slot.iterdir()]}")

    def _archives(self) -> None:
        """Each archive that is written down is whole, and there is no other."""
        written = set()
        for move in self.moves:
            if move.seal is None:
                continue
            if move.state not in {*SEALED, EXPIRED}:
                self.wrong.append(f"{move.id} has an archive and is {move.state}")
            names = {f"{move.archive}{ending}" for ending in (ARCHIVE, LISTING)}
            written |= names
            if move.state != EXPIRED and (why := self._damage(move, names)):
                self.wrong.append(f"the archive of {move.id}, which is {move.state}: {why}")
        for name in {path.name for path in self._kept.iterdir()} - written:
            self.wrong.append(f"left in the store: {name}")

    def _damage(self, move: Move, names: set[str]) -> str:
        try:
            facts = [(self._kept / name).stat() for name in sorted(names)]
        except FileNotFoundError as error:
            return f"there is no {error.filename}"
        key = (move.archive, move.seal, *((f.st_ino, f.st_mtime_ns, f.st_size) for f in facts))
        if key in self._known:
            return ""
        seal = Seal(move.seal or "", move.listing or "")
        try:
            with (
                self._store.open(f"{move.archive}{ARCHIVE}") as source,
                self._store.open(f"{move.archive}{LISTING}") as listing,
            ):
                verify(source, listing, seal)
            with self._store.open(f"{move.archive}{LISTING}") as listing:
                sums = [member.sha256 for member in contents(listing, seal) if member.type == "file"]
        except CubeHubError as error:
            return error.message
        text = text_of(number_of(move.path))
        if sums != [hashlib.sha256(text.encode()).hexdigest()] * len(FILES):
            return "it holds something else"
        self._known.add(key)
        return ""
