"""The source of a catalogue by its type."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cubehub_catalogue.http import Client
    from cubehub_catalogue.settings import Catalogue
    from cubehub_catalogue.sources.base import Source

_CLASSES = {
    "stac": "StacSource",
    "odata": "ODataSource",
    "opensearch": "OpenSearchSource",
    "static": "StaticSource",
    "geoparquet": "GeoparquetSource",
}
"""By type, which is the module's name; each is imported only where a catalogue needs it."""


def source_for(catalogue: Catalogue, client: Client) -> Source:
    """Make what asks a catalogue.

    Parameters
    ----------
    catalogue
        From the settings, which know no other types.
    client
        Its HTTP client.
    """
    module = import_module(f"cubehub_catalogue.sources.{catalogue.type}")
    source: Source = getattr(module, _CLASSES[catalogue.type])(catalogue, client)
    return source
