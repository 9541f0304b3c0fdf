"""Addresses in mails by which whoever has the mail may keep what it is about, and nothing else. Pure."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

_DIGEST = 32


@dataclass(frozen=True)
class Links:
    """Makes and checks them.

    Attributes
    ----------
    base : str
        Address of the storage service, as browsers reach it.
    secret : str
        Known to nobody else: whoever knows it can keep things in other people's homes.
    """

    base: str
    secret: str

    def keep(self, mail: int) -> str:
        """Where a mail's things are kept."""
        return f"{self.base}/keep/{mail}.{self._sign('keep', str(mail))}"

    def unsubscribe(self, mail: int) -> str:
        """Where a mail's reader asks for no more such."""
        return f"{self.base}/unsubscribe/{mail}.{self._sign('unsubscribe', str(mail))}"

    def read(self, what: str, text: str) -> int | None:
        """The number of the mail that an address is about; None if nobody here made it."""
        mail, _, signed = text.partition(".")
        if not (mail.isascii() and mail.isdigit() and len(mail) <= 12):
            return None
        if not hmac.compare_digest(signed.encode(), self._sign(what, mail).encode()):
            return None
        return int(mail)

    def _sign(self, what: str, mail: str) -> str:
        made = hmac.new(self.secret.encode(), f"{what}:{mail}".encode(), hashlib.sha256)
        return made.hexdigest()[:_DIGEST]
