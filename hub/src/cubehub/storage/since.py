"""What of a scan is still in the homes: all that it found but for what was moved away since."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cubehub.storage import journal
from cubehub.storage.journal import ARCHIVING, IN_QUARANTINE, INTENDED, RETURNED, RETURNING
from cubehub.storage.names import readable
from cubehub.storage.results import Details, Results
from cubehub.storage.tally import Share

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from cubehub.storage.results import FoundFile, FoundUnit, Home, Summary

_AT_HOME = frozenset({INTENDED, RETURNING, RETURNED})
_HELD = frozenset({*IN_QUARANTINE, ARCHIVING})


class Since:
    """A scan, without what the record has as away by now.

    Parameters
    ----------
    state : path
        The keeper's folder.
    only : str or None
        Of one home, as `readable` writes it.

    Attributes
    ----------
    homes : list of Home
        Homes of which all was moved away are not among them; the largest first.
    moved : int
        How many folders, files and homes were moved away since.

    Notes
    -----
    What lies at a path by now may be another one than was moved: so it is its inode that tells. While the keeper has
    it, no other has that inode; once it is removed, only a scan from before can mean it.
    """

    def __init__(self, state: Path, scan: Summary, only: str | None = None) -> None:
        self._results, self._scan, self._only = Results(state), scan, only
        self._gone: dict[str, set[str]] = {}
        """By home, paths of what was moved."""
        self._out: dict[str, list[tuple[str, str, Share]]] = {}
        """By home, path, kind and size of all that went with it, each counted once."""
        there = self._results.homes(scan.id, only)
        away = _away(state, scan.started, only)
        if away:
            self._find(away, there)
        found = [self._without(home) for home in there if "" not in self._gone.get(home.name, ())]
        self.homes = sorted(found, key=lambda home: (-home.bytes, home.name))
        self.moved = sum(len(paths) for paths in self._gone.values())

    @property
    def summary(self) -> Summary:
        """The sums of the scan, without what was moved."""
        if not self._gone:
            return self._scan
        there = self._results.homes(self._scan.id, self._only)
        return replace(
            self._scan,
            homes=self._scan.homes - len(there) + len(self.homes),
            files=self._scan.files - sum(h.files for h in there) + sum(h.files for h in self.homes),
            bytes=self._scan.bytes - sum(h.bytes for h in there) + sum(h.bytes for h in self.homes),
        )

    def units(self) -> list[FoundUnit]:
        """Caches, trash and scratch, by home and path."""
        return [u for u in self._results.units(self._scan.id, self._only) if not self._is_gone(u)]

    def large(self) -> list[FoundFile]:
        """Large files, by home and path."""
        return [f for f in self._results.large(self._scan.id, self._only) if not self._is_gone(f)]

    def details(self, home: str) -> Details:
        """What fills a home."""
        found = self._results.details(self._scan.id, home)
        gone, out = self._gone.get(home, set()), self._out.get(home, ())
        places = []
        for path, share in found.places:
            if path and _is_in(path, gone):
                continue
            below = [s for at, _, s in out if not path or at.startswith(f"{path}/")]
            places.append((path, _less(share, below)))
        places.sort(key=lambda item: (bool(item[0]), -item[1].bytes, item[0]))
        return Details(places, [file for file in found.large if not _is_in(file[0], gone)], found.unread)

    def _find(self, away: dict[str, dict[str, set[int]]], there: list[Home]) -> None:
        for home in there:
            if home.inode and home.inode in away.get(home.name, {}).get("", ()):
                self._gone[home.name] = {""}
        units = [u for u in self._results.units(self._scan.id, self._only) if u.home in away]
        large = [f for f in self._results.large(self._scan.id, self._only) if f.home in away]
        found: list[FoundUnit | FoundFile] = [*units, *large]
        for one in found:
            if one.inode and one.inode in away[one.home].get(one.path, ()):
                self._gone.setdefault(one.home, set()).add(one.path)
        of_units: dict[str, set[str]] = {}
        for unit in units:
            if self._is_gone(unit):
                of_units.setdefault(unit.home, set()).add(unit.path)
                share = Share(unit.bytes, unit.files, unit.newest)
                self._out.setdefault(unit.home, []).append((unit.path, unit.kind, share))
        for file in large:
            # what is in a cache is counted with it
            if self._is_gone(file) and not _is_in(file.path, of_units.get(file.home, ())):
                share = Share(file.bytes, 1, file.newest)
                self._out.setdefault(file.home, []).append((file.path, "large", share))

    def _is_gone(self, one: FoundUnit | FoundFile) -> bool:
        return one.home in self._gone and _is_in(one.path, self._gone[one.home])

    def _without(self, home: Home) -> Home:
        out = self._out.get(home.name)
        if not out:
            return home
        caches = {
            kind: _less(share, [s for _, of, s in out if of == kind]) for kind, share in home.caches.items()
        }
        left = _less(Share(home.bytes, home.files), [s for _, _, s in out])
        return replace(
            home,
            bytes=left.bytes,
            files=left.files,
            caches={kind: share for kind, share in caches.items() if share.files or share.bytes},
        )


def _away(state: Path, scanned: float, only: str | None) -> dict[str, dict[str, set[int]]]:
    """By home and path, inodes of what was moved and is not back."""
    found: dict[str, dict[str, set[int]]] = {}
    for one in journal.read(state, *(s for s in journal.STATES if s not in _AT_HOME)):
        home = readable(one.home)
        # with a place where it is back, it is an archive that is left of what came home
        if one.back is None and only in {None, home} and (one.state in _HELD or one.at >= scanned):
            found.setdefault(home, {}).setdefault(readable(one.path), set()).add(one.inode)
    return found


def _is_in(path: str, places: Container[str]) -> bool:
    """Whether a path is one of some places, or below one; an empty place is all of the home."""
    while path and path not in places:
        path = path.rpartition("/")[0]
    return path in places


def _less(share: Share, out: list[Share]) -> Share:
    """A share without others; the newest use stays, for it is not known what else was used then."""
    # a file with several names is in its home's bytes once, and in those of each folder that has one of them
    return Share(
        max(0, share.bytes - sum(s.bytes for s in out)),
        max(0, share.files - sum(s.files for s in out)),
        share.newest,
    )
