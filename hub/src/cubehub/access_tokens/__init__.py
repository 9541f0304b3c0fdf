"""Hands a person's server an access token for one catalogue; the log-in itself stays in the Hub."""

from cubehub.access_tokens.audiences import person_audiences
from cubehub.access_tokens.exchange import Exchange
from cubehub.access_tokens.handlers import HANDLERS, SETTINGS_KEY

__all__ = ["HANDLERS", "SETTINGS_KEY", "Exchange", "person_audiences"]
