"""What a source needs of the HTTP client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager


class Answer(Protocol):
    """An answer that was read whole."""

    @property
    def url(self) -> str:
        """Where it came from in the end."""

    @property
    def value(self) -> Any:
        """JSON, or text."""


class Stream(Protocol):
    """An answer that is read in pieces."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers."""

    @property
    def pieces(self) -> AsyncIterator[bytes]:
        """Its body."""


class Client(Protocol):
    """The client of one catalogue."""

    async def json(self, url: str, *, cached: bool = False) -> Answer:
        """Ask for JSON."""

    async def text(self, url: str, *, cached: bool = False) -> Answer:
        """Ask for text."""

    def stream(self, url: str, *, most_bytes: int) -> AbstractAsyncContextManager[Stream]:
        """Ask for a body that may be large."""


class Catalogue(Protocol):
    """What a source needs of a catalogue's settings."""

    @property
    def id(self) -> str:
        """Short name."""

    @property
    def title(self) -> str:
        """As people read it."""

    @property
    def url(self) -> str:
        """Root."""

    @property
    def type(self) -> str:
        """What it speaks."""

    @property
    def collections(self) -> tuple[str, ...]:
        """Default collections; empty, all."""


def asked_for(catalogue: Catalogue, collections: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Give the collections to search: those of the query, or the catalogue's default ones."""
    return tuple(collections.get(catalogue.id, catalogue.collections))
