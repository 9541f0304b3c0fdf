"""Hard limits of homes, by whatever the file system has for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub.storage.quotas.base import QuotaBackend, QuotaError, Support, Usage
from cubehub.storage.quotas.btrfs import BtrfsQuota
from cubehub.storage.quotas.none import NoQuota
from cubehub.storage.quotas.project import Ext4Quota, XfsQuota

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BACKENDS",
    "BtrfsQuota",
    "Ext4Quota",
    "Found",
    "NoQuota",
    "QuotaBackend",
    "QuotaError",
    "Support",
    "Usage",
    "XfsQuota",
    "find",
]

BACKENDS: tuple[QuotaBackend, ...] = (BtrfsQuota(), XfsQuota(), Ext4Quota(), NoQuota())
"""In the order in which they are tried; the last one always works, and limits nothing."""


@dataclass(frozen=True)
class Found:
    """Which back end holds the homes of a folder, and why others do not."""

    backend: QuotaBackend
    support: dict[str, Support]
    """What each said, by its name."""

    @property
    def limits(self) -> bool:
        """Whether homes are held to anything."""
        return not isinstance(self.backend, NoQuota)


def find(root: Path, backends: tuple[QuotaBackend, ...] = BACKENDS) -> Found:
    """Ask each back end about the homes in a folder; changes nothing."""
    support = {backend.name: backend.probe(root) for backend in backends}
    return Found(next(backend for backend in backends if support[backend.name].works), support)
