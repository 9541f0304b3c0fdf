"""Some file systems (NFS of some servers, overlays) give inodes past what SQLite takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubehub.storage import inodes, journal
from cubehub.storage.notices import record
from cubehub.storage.planning import Entry
from cubehub.storage.results import Results
from cubehub.storage.scan import Scan
from cubehub.storage.tally import HomeTally, Share
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

LARGE = 2**64 - 5


@given(st.integers(0, 2**64 - 1))
def test_any_inode_comes_back(inode: int) -> None:
    stored = inodes.stored(inode)
    assert -(2**63) <= stored < 2**63
    assert inodes.known(stored) == inode


def test_large_ones_are_kept_by_all_records(tmp_path: Path) -> None:
    tally = HomeTally()
    tally.inode = LARGE
    tally.count_unit(b".cache/pip", "pip", LARGE - 1, Share(1, 1, 1))
    tally.count_large(20 * 2**30, 1, b"big", LARGE - 2)
    results = Results(tmp_path)
    number = results.add(Scan(tmp_path, 1.0, 2.0, {b"ana": tally}, {b"ana": 0}))
    assert [h.inode for h in results.homes(number)] == [LARGE]
    assert [u.inode for u in results.units(number)] == [LARGE - 1]
    assert [f.inode for f in results.large(number)] == [LARGE - 2]
    entry = Entry(b"ana", b"big", "large", 1, 1, 1, 1, LARGE)
    with record.opened(tmp_path) as told, told.transaction:
        told.begin(entry, 0, 0, None)
        assert told.open_ones()[0].is_about(entry)
    with journal.opened(tmp_path) as made:
        made.intend(made.begin_run("", "", 0), b"ana", b"big", "large", 1, 1, LARGE, 0)
        assert made.moves(journal.INTENDED)[0].inode == LARGE
