"""What `cubehub doctor` tells about the storage keeper."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError
from cubehub.findings import Finding
from cubehub.mail.outbox import REFUSED, WAITING
from cubehub.mail.sending import read_password
from cubehub.mail.settings import PAGE
from cubehub.storage import places, rounds
from cubehub.storage.notices import record
from cubehub.storage.settings import settings_of

if TYPE_CHECKING:
    from cubehub.local.data_folder import DataFolder
    from cubehub.mail.outbox import Mail
    from cubehub.mail.settings import MailSettings

_LATE = 3
"""Rounds are late after so many times as long as there should be between two."""


def findings(data: DataFolder) -> list[Finding]:
    """Whether policies can be read, people can be written to, and rounds are made."""
    try:
        settings = settings_of(data)
        policy, mail = settings.policy(), settings.mail()
        with record.opened(settings.state) as told:
            mails = told.outbox.newest()
        made, stop = rounds.History(settings.state).newest(1), rounds.paused(settings.state)
    except CubeHubError as error:
        return [Finding("problem", "storage", error.message, error.hint)]
    found = []
    if policy.needs_people() and not mail.server:
        message = (
            "storage.yaml lets things go that people made, and no mail server is set: none of it is moved."
        )
        found.append(Finding("note", "no_mail", message, "Set mail.server in cubehub.yaml."))
    found += _of_mails(mail, mails)
    if policy.needs_people() and not policy.archive.to:
        message = "What people made stays in quarantine, since no archive is set."
        found.append(Finding("note", "no_archive", message, "Set archive.to in storage.yaml."))
    if (away := places.trouble(policy.archive.to, settings.state)) is not None:
        found.append(Finding("problem", "archives_away", away.message, away.hint))
    if stop is not None:
        why = f": {stop['why']}" if stop["why"] else ""
        message = f"Rounds of the storage keeper are paused by {stop['by']}{why}."
        found.append(Finding("note", "rounds_paused", message, "`cubehub storage resume` goes on."))
    elif made and made[0].outcome == rounds.FAILED:
        message = f"The last round of the storage keeper failed: {made[0].told.get('failed', '')}"
        found.append(
            Finding("problem", "round_failed", message, "`cubehub storage run` makes one now and says more.")
        )
    elif made and time.time() - made[0].started > _LATE * policy.every:
        days = int((time.time() - made[0].started) // 86400)
        message = f"The last round of the storage keeper was {days} days ago."
        found.append(Finding("problem", "rounds_late", message, "`cubehub logs storage` says why."))
    return found or [Finding("ok", "storage", f"Homes are looked after by the policy {policy.preset}.")]


def _of_mails(mail: MailSettings, mails: list[Mail]) -> list[Finding]:
    """What keeps mails from going out."""
    found = []
    if mail.server not in {"", PAGE} and mail.password_file:
        try:
            read_password(mail.password_file)
        except CubeHubError as error:
            found.append(Finding("problem", "mail_password", error.message, error.hint))
    for state, code, what in (
        (WAITING, "mails_wait", "could not go out yet"),
        (REFUSED, "mails_refused", "were refused"),
    ):
        such = [m for m in mails if m.state == state and m.said]
        if such:
            message = f"Mails that {what}: {len(such)}, the last to {such[0].address}: {such[0].said}"
            found.append(Finding("note", code, message, "`cubehub storage mails` lists them."))
    return found
