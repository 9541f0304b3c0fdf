"""What all routes share: the settings, one source for each catalogue, and the open searches."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, NoReturn

from cubehub_catalogue.auth import Hub
from cubehub_catalogue.errors import CatalogueError, InputError, UnknownError, UpstreamError
from cubehub_catalogue.federation import Asked, Federation
from cubehub_catalogue.http import client_for
from cubehub_catalogue.own import OwnCatalogues
from cubehub_catalogue.searches import Searches
from cubehub_catalogue.sources.making import source_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cubehub_catalogue.http import Client
    from cubehub_catalogue.query import Query
    from cubehub_catalogue.settings import Catalogue, Settings
    from cubehub_catalogue.sources.base import Source

_LOG = logging.getLogger(__name__)
_MOST_AT_ONCE, _MOST_NAMED = 50, 20
_TRIED_S = 10.0
"""So long a person who adds a catalogue waits for its first answer."""


class Context:
    """The state of the extension in one server.

    Parameters
    ----------
    settings
        What the administrator set, or why that can't be read: then every route says so.
    home
        The person's home: where files are shown and put.
    data
        Folder for what the extension keeps.
    make_client, make_source
        Make what asks a catalogue.
    """

    def __init__(
        self,
        settings: Settings | CatalogueError,
        home: Path,
        data: Path,
        *,
        make_client: Callable[[Catalogue, Settings], Client] = client_for,
        make_source: Callable[[Catalogue, Client], Source] = source_for,
    ) -> None:
        self._settings = settings
        self.home, self.data = home, data
        self._make_client, self._make_source = make_client, make_source
        self._clients: dict[str, Client] = {}
        self._sources: dict[str, Source] = {}
        self.searches = Searches()
        allowed = not isinstance(settings, CatalogueError) and settings.user_catalogues
        self.own = OwnCatalogues(data / "catalogues.json", allowed=allowed)
        self._mine: list[Catalogue] | None = None

    @property
    def settings(self) -> Settings:
        """What the administrator set.

        Raises
        ------
        CatalogueError
            Where that can't be read.
        """
        if isinstance(self._settings, CatalogueError):
            raise self._settings
        return self._settings

    def catalogues(self) -> list[Catalogue]:
        """Give all catalogues, the person's own last."""
        if self._mine is None:
            self._mine = self.own.all()
        return [*self.settings.catalogues, *self._mine]

    def catalogue(self, id_: str) -> Catalogue:
        """Give one catalogue.

        Raises
        ------
        UnknownError
            When there is none of this id.
        """
        for one in self.catalogues():
            if one.id == id_:
                return one
        here = ", ".join(one.id for one in self.catalogues()[:_MOST_NAMED])
        hint = f"These are here: {here}." if here else "None is set up here; add one."
        raise UnknownError("unknown_catalogue", f"There is no catalogue {id_[:60]!r}.", hint)

    def client(self, id_: str) -> Client:
        """Give the HTTP client of a catalogue, always the same one: it pools connections and keeps answers."""
        catalogue = self.catalogue(id_)
        if id_ not in self._clients:
            self._clients[id_] = self._make_client(catalogue, self.settings)
        return self._clients[id_]

    def source(self, id_: str) -> Source:
        """Give what asks a catalogue, always the same one."""
        if id_ not in self._sources:
            self._sources[id_] = self._make_source(self.catalogue(id_), self.client(id_))
        return self._sources[id_]

    def federation(self, ids: Iterable[str], query: Query) -> Federation:
        """Begin a search over catalogues.

        Raises
        ------
        InputError
            When none is chosen, or too many.
        UnknownError
            When there is none of an id.
        """
        chosen = list(dict.fromkeys(ids))
        if len(chosen) > _MOST_AT_ONCE:
            raise InputError("too_many", f"{_MOST_AT_ONCE} catalogues at once are the most.", "Choose fewer.")
        return Federation([self._asked(id_) for id_ in chosen], query)

    async def add_own(self, title: str, url: str, kind: str) -> Catalogue:
        """Add a catalogue of the person's own."""
        one = await asyncio.to_thread(self.own.add, title, url, kind)
        self._mine = None
        return one

    async def tried(self, id_: str) -> dict[str, Any]:
        """Ask a catalogue for what it has: ``{collections: number or None, error: CatalogueError's or None}``."""
        try:
            async with asyncio.timeout(_TRIED_S):
                source = self.source(id_)
                await source.capabilities()
                return {"collections": len(await source.collections()), "error": None}
        except CatalogueError as error:
            return {"collections": None, "error": error.to_dict()}
        except TimeoutError:
            late = UpstreamError(
                "timeout",
                f"{self.catalogue(id_).title} did not answer within {_TRIED_S:g} s.",
                "It was added; look at the address, or try it later.",
            )
            return {"collections": None, "error": late.to_dict()}
        except Exception:  # noqa: BLE001 - it was added before: no answer must look as if that had failed
            _LOG.exception("cubehub_catalogue: %s was added and could not be asked", id_)
            broken = UpstreamError(
                "bad_answer",
                f"What {self.catalogue(id_).title} answered could not be read.",
                "It was added; look at its address and kind. The server's log has the cause.",
            )
            return {"collections": None, "error": broken.to_dict()}

    async def remove_own(self, id_: str) -> None:
        """Remove a catalogue of the person's own."""
        await asyncio.to_thread(self.own.remove, id_)
        self._mine = None
        self._sources.pop(id_, None)
        if (client := self._clients.pop(id_, None)) is not None:
            await client.close()

    async def close(self) -> None:
        """Give up all searches and close all connections."""
        self.searches.close_all()
        self._sources.clear()
        clients, self._clients = list(self._clients.values()), {}
        await asyncio.gather(*(client.close() for client in clients))

    def _asked(self, id_: str) -> Asked:
        catalogue = self.catalogue(id_)
        try:
            source: Any = self.source(id_)
        except (
            CatalogueError
        ) as error:  # such as a key that is not there: named as all failures, beside the others
            source = _Failing(error)
        platform = isinstance(catalogue.auth, Hub)
        return Asked(
            id_, catalogue.title, source, catalogue.timeout, tuple(catalogue.collections), platform=platform
        )


class _Failing:
    """A source that could not be made."""

    def __init__(self, error: CatalogueError) -> None:
        self._error = error

    async def search(self, _query: Query, _following: Any = None) -> NoReturn:
        raise self._error
