"""What a back end for hard limits of homes can be asked."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError

if TYPE_CHECKING:
    from pathlib import Path


class QuotaError(CubeHubError):
    """A home's limit could not be set or read; what it was before still holds."""

    code = "quota"


@dataclass(frozen=True)
class Support:
    """What a back end can do for a folder of homes."""

    works: bool
    reason: str = ""
    """Why it does not; empty where it does."""
    remedy: str = ""
    """What an administrator can do about it; empty where nothing."""


@dataclass(frozen=True)
class Usage:
    """How much a home has, as the limit counts it."""

    bytes: int
    limit: int | None
    """None where there is none."""


class QuotaBackend(ABC):
    """Hard limits of homes in one folder: past them the kernel refuses to write (``EDQUOT``).

    Notes
    -----
    A home is a folder directly in that of the homes, which only the Hub may write to. What is *in* a home is its
    owner's, who may change it meanwhile: nothing in there is reached by a path.
    """

    name: str
    """One word; as the command shows it."""

    @abstractmethod
    def probe(self, root: Path) -> Support:
        """Tell whether limits can be set for the homes in `root` now; changes nothing."""

    @abstractmethod
    def limit(self, home: Path, limit_bytes: int) -> None:
        """Set a home's limit; the same again changes nothing. It may be below what is used: then only less can be.

        Raises
        ------
        QuotaError
            It could not be set.
        """

    @abstractmethod
    def usage(self, home: Path) -> Usage:
        """Tell what a home uses and may use.

        Raises
        ------
        QuotaError
            Nobody counts it: it never had a limit, or the file system can't tell.
        """

    @abstractmethod
    def remove(self, home: Path) -> None:
        """Take a home's limit away, also that of a home that is gone; nothing happens where there is none.

        Raises
        ------
        QuotaError
            It could not be taken away.
        """

    caution = ""
    """What an administrator should know who takes this back end; empty where there is nothing."""

    def make(self, home: Path) -> None:
        """Make a new home in the way that this back end can limit; nothing happens where something is there.

        Raises
        ------
        QuotaError
            It could not be made.
        """
        try:
            home.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise QuotaError(f"{home} can't be made: {error.strerror}.") from error


def not_root() -> Support | None:
    """Say so where the process may not set limits at all."""
    if os.geteuid() == 0:
        return None
    return Support(
        works=False, reason="only root may set limits", remedy="Run the command, and CubeHub, as root."
    )
