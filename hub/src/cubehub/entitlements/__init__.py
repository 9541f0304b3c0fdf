"""What the Hub tells and does about who may have what: an API inside the Hub, for the parts beside it."""

from cubehub.entitlements import groups, handlers
from cubehub.entitlements.handlers import SETTINGS_KEY
from cubehub.entitlements.rules import READ_SCOPE, SCOPES, WRITE_SCOPE, Rules

HANDLERS = [*handlers.HANDLERS, *groups.HANDLERS]

__all__ = ["HANDLERS", "READ_SCOPE", "SCOPES", "SETTINGS_KEY", "WRITE_SCOPE", "Rules"]
