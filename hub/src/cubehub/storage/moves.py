"""What is written down of one thing that was moved out of a home, and the states that it goes through."""

from __future__ import annotations

from dataclasses import dataclass

INTENDED, QUARANTINED, ARCHIVING, ARCHIVED = "intended", "quarantined", "archiving", "archived"
RETURNING, RETURNED, UNPACKING = "returning", "returned", "unpacking"
PURGING, PURGED, EXPIRING, EXPIRED, GONE = "purging", "purged", "expiring", "expired", "gone"
STATES = (
    INTENDED, QUARANTINED, ARCHIVING, ARCHIVED, RETURNING, RETURNED, UNPACKING, PURGING, PURGED, EXPIRING, EXPIRED, GONE,
)  # fmt: skip
"""States of a move. Those that end in -ing or say that something is intended are left by recovery.

``archived`` is in quarantine and in an archive that was read back; ``purged`` is in its archive only, or, without one,
nowhere any more; ``expired`` had an archive.
"""
IN_QUARANTINE = (QUARANTINED, ARCHIVED)
AWAY = (*IN_QUARANTINE, ARCHIVING, PURGED)
"""States in which something may be brought back; see `Move.restorable`."""


@dataclass(frozen=True)
class Move:
    """A folder that was moved, or is about to be.

    Attributes
    ----------
    path : bytes
        From the home.
    at : float
        When it came into its state, seconds since 1970.
    back : bytes or None
        Where it is put back to, or was; from the home.
    inode : int
        Of what was moved; 0 once it was to be unpacked from its archive.
    archive : str or None
        Name of its archive in the store; it is whole only if there is a seal, and without one to be deleted.
    seal, listing : str or None
        SHA-256 of the archive and of its manifest, in hexadecimal.
    archive_bytes : int or None
        Of the archive with its manifest.
    account : str or None
        Directory's id of whom it was taken from; None where that was not noted.
    """

    id: int
    run: int
    home: bytes
    path: bytes
    back: bytes | None
    kind: str
    bytes: int
    files: int
    inode: int
    state: str
    at: float
    archive: str | None = None
    seal: str | None = None
    listing: str | None = None
    archive_bytes: int | None = None
    account: str | None = None

    @property
    def restorable(self) -> bool:
        """Whether it can be brought back."""
        return self.state in AWAY and (self.state != PURGED or self.seal is not None)
