"""The kinds of log-in: none, a key, user name and password, the platform's own client, the person's account or server."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cubehub_catalogue.auth import ApiKey, Basic, Hub, OAuth2Client, Person
from cubehub_catalogue.http.credentials import Credentials
from cubehub_catalogue.tokens.bearer import BearerCredentials
from cubehub_catalogue.tokens.fixed import ApiKeyCredentials, BasicCredentials
from cubehub_catalogue.tokens.oauth2 import client_tokens
from cubehub_catalogue.tokens.person import ServerToken, person_tokens

if TYPE_CHECKING:
    from cubehub_catalogue.settings import Catalogue

__all__ = ["credentials_for"]


def credentials_for(catalogue: Catalogue) -> Credentials:
    """Give what a catalogue is asked with, as its settings say."""
    match catalogue.auth:
        case ApiKey():
            return ApiKeyCredentials(catalogue.auth)
        case Basic():
            return BasicCredentials(catalogue.auth)
        case OAuth2Client():
            return BearerCredentials(client_tokens(catalogue, catalogue.auth))
        case Person():
            return BearerCredentials(person_tokens(catalogue, catalogue.auth))
        case Hub():
            return ServerToken(urlsplit(catalogue.url).path)
        case _:
            return Credentials()
