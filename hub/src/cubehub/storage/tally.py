"""What is counted of a home, and how the parts that several processes counted become one. Pure."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from dataclasses import dataclass, field

from cubehub.storage.kinds import SCRATCH

FOLDER_DEPTH = 4
"""Folders so deep below a home are told by name; what lies deeper counts in the one above it."""
MOST_FOLDERS = 20_000
"""Of a home that one process tells by name: more count in the folder above them."""
LARGE_BYTES = 64 * 2**20
"""Files of this size are told by name."""
MOST_LARGE = 200
MOST_UNREAD = 50
LATEST = 253_402_300_799
"""The end of the year 9999: a later use is told as this, for no calendar goes further."""
MOST_KEPT = 1000
"""That a scan remembers; the keeper looks itself before it moves anything."""
MOST_UNITS = 5_000


@dataclass
class Share:
    """Bytes on the disk, files, and the newest use, in seconds since 1970 (0: none)."""

    bytes: int = 0
    files: int = 0
    newest: int = 0

    def add(self, other: Share) -> None:
        """Count another one in."""
        self.bytes += other.bytes
        self.files += other.files
        self.newest = max(self.newest, other.newest)


@dataclass
class Unit:
    """A folder or file that is cleaned up as a whole: its kind, its inode (0: not seen by this process) and what is in it."""

    kind: str
    inode: int = 0
    share: Share = field(default_factory=Share)

    def add(self, other: Unit) -> None:
        """Count in what another process found of it."""
        self.inode = self.inode or other.inode
        self.share.add(other.share)


@dataclass
class HomeTally:
    """What one process has counted of one home.

    Attributes
    ----------
    own : Share
        All of it. Bytes are those that the disk gave (512 for each block); a file with several names is in `linked`.
        Use is the later of last read and last written, of files only: folders are read by every backup.
    folders : int
        How many there are, the home itself included.
    caches : dict of str to Share
        By kind.
    places : dict of bytes to Share
        By folder, from the home, down to `FOLDER_DEPTH`: what is in it and not in one that has an entry of its own.
    units : dict of bytes to Unit
        Caches, trash and scratch by folder or file, from the home. Bytes of files with several names are in it each time.
    large : list of tuple
        The largest files: bytes, newest use, path from the home, inode.
    inode : int
        Of the home itself; 0 where this process did not look at it.
    device : int
        Of the home itself; on btrfs each subvolume has its own.
    mixed : bool
        Whether there are folders of another device in it.
    linked : array of int
        Of files with several names: inode, bytes and how many names, one after another, once for each name that was met.
    kept : list of bytes
        Folders that their owner keeps by a file in them, the first few.
    unread : list of tuple
        What could not be looked into: path from the home, and why; the first few of ``unread_count``.
    """

    own: Share = field(default_factory=Share)
    folders: int = 0
    inode: int = 0
    device: int = 0
    mixed: bool = False
    caches: dict[str, Share] = field(default_factory=dict)
    places: dict[bytes, Share] = field(default_factory=dict)
    units: dict[bytes, Unit] = field(default_factory=dict)
    large: list[tuple[int, int, bytes, int]] = field(default_factory=list)
    linked: array[int] = field(default_factory=lambda: array("Q"))
    kept: list[bytes] = field(default_factory=list)
    unread: list[tuple[bytes, str]] = field(default_factory=list)
    unread_count: int = 0

    def count(self, place: bytes, kind: str | None, share: Share) -> None:
        """Count what one folder has in it."""
        self.own.add(share)
        self.folders += 1
        if kind is not None and kind != SCRATCH:
            self.caches.setdefault(kind, Share()).add(share)
        while place and place not in self.places and len(self.places) >= MOST_FOLDERS:
            place = place.rpartition(b"/")[0]
        self.places.setdefault(place, Share()).add(share)

    def count_unit(self, path: bytes, kind: str, inode: int, share: Share) -> None:
        """Count what a folder of a unit has in it; its inode where the folder is the unit itself, else 0."""
        unit = self.units.get(path)
        if unit is None:
            if len(self.units) >= MOST_UNITS:
                return
            unit = self.units[path] = Unit(kind)
        unit.add(Unit(kind, inode, share))

    def count_large(self, size: int, newest: int, path: bytes, inode: int) -> None:
        """Remember a large file, if it is among the largest. What its owner dates before 1970 was never used."""
        newest = max(0, newest)
        if len(self.large) < MOST_LARGE:
            heapq.heappush(self.large, (size, newest, path, inode))
        else:
            heapq.heappushpop(self.large, (size, newest, path, inode))

    def count_unread(self, path: bytes, why: str) -> None:
        """Remember that something could not be looked into."""
        self.unread_count += 1
        if len(self.unread) < MOST_UNREAD:
            self.unread.append((path, why))

    def add(self, other: HomeTally) -> None:
        """Count in what another process has counted of the same home."""
        self.own.add(other.own)
        self.folders += other.folders
        self.inode = self.inode or other.inode
        self.mixed |= other.mixed or (0 < self.device != other.device > 0)
        self.device = self.device or other.device
        for kind, share in other.caches.items():
            self.caches.setdefault(kind, Share()).add(share)
        for path, share in other.places.items():
            self.places.setdefault(path, Share()).add(share)
        for path, unit in other.units.items():
            self.units.setdefault(path, Unit(unit.kind)).add(unit)
        for file in other.large:
            self.count_large(*file)
        self.linked.extend(other.linked)
        self.kept = [*self.kept, *other.kept][:MOST_KEPT]
        self.unread_count += other.unread_count
        self.unread = sorted({*self.unread, *other.unread})[:MOST_UNREAD]


def linked_bytes(tallies: list[HomeTally]) -> list[int]:
    """Bytes of files with several names, for each home: each file once, in the first home that has a name of it.

    Notes
    -----
    Inodes are compared within a device: each subvolume of btrfs counts its own from the same number on.

    Only files with names that were not met in the same home are remembered for the others: what conda links within a
    home can be millions, what is linked between homes is little.
    """
    found = []
    devices: dict[int, set[int]] = {}
    for tally in tallies:
        elsewhere = devices.setdefault(tally.device, set())
        inodes, sizes, links = (tally.linked[n::3] for n in range(3))
        met = Counter(inodes)
        told = dict(zip(inodes, zip(sizes, links, strict=True), strict=True))
        found.append(sum(size for inode, (size, _) in told.items() if inode not in elsewhere))
        elsewhere.update(inode for inode, (_, names) in told.items() if met[inode] < names)
        tally.linked = array("Q")
    return found


def totals(places: dict[bytes, Share]) -> dict[bytes, Share]:
    """By folder, all that is in it and below, from what is in each itself; the home is the empty path."""
    made: dict[bytes, Share] = {b"": Share()}
    for path, share in places.items():
        at = path
        while True:
            made.setdefault(at, Share()).add(share)
            if not at:
                break
            at = at.rpartition(b"/")[0]
    return made


def biggest(places: dict[bytes, Share], most: int = 100, least: float = 0.01) -> list[tuple[bytes, Share]]:
    """The folders that fill a home: each with at least a share of it, the largest first, the home itself in front.

    Parameters
    ----------
    least : float
        Of the home's bytes; smaller folders are left out.
    """
    summed = totals(places)
    whole = summed[b""]
    wanted = [(p, s) for p, s in summed.items() if p and s.bytes and s.bytes >= least * whole.bytes]
    wanted.sort(key=lambda item: (-item[1].bytes, item[0]))
    return [(b"", whole), *wanted[:most]]
