"""What `cubehub doctor` tells about the storage keeper."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError
from cubehub.findings import Finding
from cubehub.mail.outbox import REFUSED
from cubehub.storage import places, rounds
from cubehub.storage.notices import record
from cubehub.storage.settings import settings_of

if TYPE_CHECKING:
    from cubehub.local.data_folder import DataFolder

_LATE = 3
"""Rounds are late after so many times as long as there should be between two."""


def findings(data: DataFolder) -> list[Finding]:
    """Whether policies can be read, people can be written to, and rounds are made."""
    try:
        settings = settings_of(data)
        policy, mail = settings.policy(), settings.mail()
        with record.opened(settings.state) as told:
            refused = [m for m in told.outbox.newest() if m.state == REFUSED]
        made, stop = rounds.History(settings.state).newest(1), rounds.paused(settings.state)
    except CubeHubError as error:
        return [Finding("problem", "storage", error.message, error.hint)]
    found = []
    if policy.needs_people() and not mail.server:
        message = (
            "storage.yaml lets things go that people made, and no mail server is set: none of it is moved."
        )
        found.append(Finding("note", "no_mail", message, "Set mail.server in cubehub.yaml."))
    if refused:
        message = f"{len(refused)} mails were refused, the last to {refused[0].address}: {refused[0].said}"
        found.append(Finding("note", "mails_refused", message, "`cubehub storage mails` lists them."))
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
