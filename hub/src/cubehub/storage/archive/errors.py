"""What goes wrong with archives."""

from __future__ import annotations

from cubehub.errors import CubeHubError


class ArchiveError(CubeHubError):
    """An archive could not be written or unpacked; nothing of it was left behind."""

    code = "archive"


class ChangedError(ArchiveError):
    """What was to be archived changed while it was read."""

    code = "archive_changed"


class DamagedError(ArchiveError):
    """An archive, or its manifest, is not what was written."""

    code = "archive_damaged"


class StoreError(ArchiveError):
    """The place where archives are kept did not do what it was asked for."""

    code = "archive_store"
