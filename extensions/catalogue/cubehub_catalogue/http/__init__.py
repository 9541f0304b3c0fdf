"""Asks catalogues over HTTP: public addresses only unless the settings say otherwise, within limits of size and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubehub_catalogue.http.client import Answer, Client, Stream
from cubehub_catalogue.http.limits import Limits

if TYPE_CHECKING:
    from cubehub_catalogue.settings import Catalogue, Settings

__all__ = ["Answer", "Client", "Limits", "Stream", "client_for"]


def client_for(catalogue: Catalogue, settings: Settings | None = None) -> Client:
    """Make the client of a catalogue, with its log-in.

    Parameters
    ----------
    catalogue
        From the settings.
    settings
        Not needed so far; what holds for all catalogues.
    """
    from cubehub_catalogue.tokens import credentials_for  # noqa: PLC0415 - which uses the client itself

    del settings
    return Client(catalogue, credentials_for(catalogue))
