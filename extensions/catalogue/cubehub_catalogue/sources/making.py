"""The source for a catalogue, by the type that its settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubehub_catalogue.errors import InputError
from cubehub_catalogue.sources.geoparquet import GeoParquetSource
from cubehub_catalogue.sources.odata import ODataSource
from cubehub_catalogue.sources.opensearch import OpenSearchSource
from cubehub_catalogue.sources.stac import StacSource
from cubehub_catalogue.sources.static import StaticSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub_catalogue.http import Client
    from cubehub_catalogue.settings import Catalogue
    from cubehub_catalogue.sources.base import Source

_TYPES: dict[str, Callable[[Catalogue, Client], Source]] = {
    "stac": StacSource,
    "static": StaticSource,
    "geoparquet": GeoParquetSource,
    "odata": ODataSource,
    "opensearch": OpenSearchSource,
}


def source_for(catalogue: Catalogue, client: Client) -> Source:
    """Make the source of a catalogue.

    Raises
    ------
    InputError
        There is no such type.
    """
    made = _TYPES.get(catalogue.type)
    if made is None:
        raise InputError(
            "unknown_type",
            f"The catalogue {catalogue.id} is of type {str(catalogue.type)[:40]!r}, which is not known.",
            f"Write one of {', '.join(_TYPES)} in the settings.",
        )
    return made(catalogue, client)
