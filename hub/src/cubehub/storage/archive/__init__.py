"""Archives of what is cleaned out of homes: packed, kept, read back, and unpacked again."""

from cubehub.storage.archive.errors import ArchiveError, ChangedError, DamagedError, StoreError
from cubehub.storage.archive.manifest import Member, Seal, contents
from cubehub.storage.archive.packing import Packed, pack
from cubehub.storage.archive.stores import Store, Stored, opened
from cubehub.storage.archive.unpacking import Unpacked, sweep, unpack
from cubehub.storage.archive.verifying import Verified, unchanged, verify

__all__ = [
    "ArchiveError", "ChangedError", "DamagedError", "Member", "Packed", "Seal", "Store", "StoreError", "Stored",
    "Unpacked", "Verified", "contents", "opened", "pack", "sweep",
    "unchanged", "unpack", "verify",
]  # fmt: skip
