"""From the outbox to the mail server."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import TYPE_CHECKING

import aiosmtplib

from cubehub.errors import BadInputError
from cubehub.mail.outbox import REFUSED, SENT, WAITING
from cubehub.mail.settings import LANGUAGES, PAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.mail.outbox import Mail, Outbox
    from cubehub.mail.settings import MailSettings

_TIMEOUT_S = 30.0
NO_SERVER = "no mail server is set, mail.server in cubehub.yaml"
_NEVER = range(500, 600)
"""Answers of a mail server after which trying again is of no use."""


@dataclass(frozen=True)
class Told:
    """What became of the mails that were due."""

    sent: int = 0
    put_off: int = 0
    refused: int = 0
    why: str = ""
    """Why the first that did not go did not."""


def message(mail: Mail, settings: MailSettings) -> EmailMessage:
    """A mail as it goes over the wire. Pure.

    Raises
    ------
    ValueError
        The address is none.
    """
    made = EmailMessage(policy=SMTP)
    name, sender = parseaddr(settings.sender)
    made["From"] = Address(name, addr_spec=sender)
    made["To"] = _recipient(mail.address)
    made["Subject"] = mail.subject
    made["Date"] = format_datetime(datetime.fromtimestamp(mail.made, UTC))
    # The same at each try: a mail that was sent twice because the first answer was lost is shown once
    made["Message-ID"] = f"<cubehub-{mail.id}-{int(mail.made)}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    if mail.unsubscribe:
        made["List-Unsubscribe"] = f"<{mail.unsubscribe}>"
        made["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    made.set_content(mail.body)
    # Behind the content, which takes away what was said of it before. In their account people write what they like for a
    # language; the text is in English then
    made["Content-Language"] = mail.language if mail.language in LANGUAGES else LANGUAGES[0]
    return made


def _recipient(address: str) -> Address:
    try:
        return Address(addr_spec=address)
    except Exception as error:  # the parser raises whatever it stumbles upon: IndexError of "ana@", AttributeError of "ana@["
        raise ValueError(f"{address[:100]!r} is no address of a person") from error


async def send_due(outbox: Outbox, settings: MailSettings, now: Callable[[], float] = time.time) -> Told:
    """Send what is due. A server that is away, or says to come again, costs no mail.

    Raises
    ------
    BadInputError
        The file with the password cannot be read.
    """
    due = outbox.due(now())
    if not due or not settings.server:
        return Told(put_off=len(due), why=NO_SERVER if due else "")
    if settings.server == PAGE:
        for mail in due:
            outbox.sent(mail, now())
        return Told(sent=len(due))
    try:
        client = await _connected(settings)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        for mail in due:
            outbox.put_off(mail, now(), _said(error))
        return Told(put_off=len(due), why=_said(error))
    told = {SENT: 0, WAITING: 0, REFUSED: 0}
    why = ""
    try:
        for mail in due:
            state, said = await _try(client, outbox, mail, settings, now)
            told[state] += 1
            why = why or said
            if not client.is_connected:  # what is left is tried over another connection, later
                break
    finally:
        client.close()
    left = len(due) - sum(told.values())
    return Told(told[SENT], told[WAITING] + left, told[REFUSED], why)


async def _try(
    client: aiosmtplib.SMTP, outbox: Outbox, mail: Mail, settings: MailSettings, now: Callable[[], float]
) -> tuple[str, str]:
    """Send one mail: the state that it has come into, and what was said if it did not go."""
    try:
        await _send(client, outbox, mail, settings)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        if _is_final(error):
            outbox.refuse(mail, _said(error))
            return REFUSED, _said(error)
        outbox.put_off(mail, now(), _said(error))
        return WAITING, _said(error)
    outbox.sent(mail, now())
    return SENT, ""


async def _send(client: aiosmtplib.SMTP, outbox: Outbox, mail: Mail, settings: MailSettings) -> None:
    made = message(mail, settings)
    outbox.begin(mail)
    await client.send_message(made)


def read_password(file: str) -> str:
    """The password of the mail server.

    Raises
    ------
    BadInputError
        It cannot be read.
    """
    try:
        return Path(file).read_text(encoding="utf-8").splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise BadInputError(
            f"The password of the mail server in {file} cannot be read.",
            "Write it on the first line, and let nobody read it but the user who runs CubeHub (chmod 600).",
        ) from error


async def _connected(settings: MailSettings) -> aiosmtplib.SMTP:
    password = read_password(settings.password_file) if settings.password_file else None
    client = aiosmtplib.SMTP(
        hostname=settings.server,
        port=settings.port,
        username=settings.user or None,
        password=password,
        use_tls=settings.security == "tls",
        start_tls=settings.security == "starttls",
        timeout=_TIMEOUT_S,
    )
    await client.connect()
    return client


def _is_final(error: Exception) -> bool:
    if isinstance(error, ValueError):
        return True
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(one.code in _NEVER for one in error.recipients)
    return isinstance(error, aiosmtplib.SMTPResponseException) and error.code in _NEVER


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__
