"""What a client adds to a request to show who asks; the kinds of it are in `cubehub_catalogue.tokens`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL


@dataclass(frozen=True)
class Given:
    """Goes to the catalogue's own addresses and nowhere else."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    below: str = ""
    """Path, with a slash at its end, below which it holds; beside it on the same host may be other people's servers."""

    def holds_for(self, url: URL) -> bool:
        """Whether it may go to one of the catalogue's own addresses."""
        if not self.below:
            return True
        # decoded twice: however somebody behind the door reads it, it leads nowhere else
        path = unquote(unquote(url.raw_path)).replace("\\", "/")
        return f"{path}/".startswith(self.below) and not {".", ".."} & set(path.split("/"))


class Credentials:
    """None at all; the others inherit from it."""

    async def given(self) -> Given:
        """Give what belongs to a request now.

        Raises
        ------
        CatalogueError
            There is nothing to be had.
        """
        return Given()

    async def renew(self, refused: Given) -> bool:
        """Get others in place of some that were refused with 401; whether it is worth to ask once more."""
        del refused
        return False

    def hide(self, text: str) -> str:
        """Take secrets out of a text that a catalogue sent back."""
        return text

    async def close(self) -> None:
        """Let go of what was opened for it."""


def hidden(text: str, secrets: tuple[str, ...]) -> str:
    """Put a sign in place of each secret."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "…")
    return text
