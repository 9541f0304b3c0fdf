"""The page before a start, for people who may choose; it mirrors what the Hub remembers and decides nothing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from cubehub_spawner.entitlement import format_bytes

if TYPE_CHECKING:
    from collections.abc import Collection

    from cubehub_spawner.profiles import Profile, Profiles


def profile_form(groups: Collection[str], profiles: Profiles) -> str:
    """Write the choice between the profiles that `groups` grant; empty where there is nothing to choose.

    Notes
    -----
    The best is chosen by sending no name: a server that was started with it follows its person's group, while one
    that was started with a profile by name keeps that.
    """
    mine = [profile for profile in profiles.profiles.values() if profile.groups & set(groups)]
    if len(mine) < 2:
        return ""
    mine.sort(key=lambda profile: -profile.memory)
    options = "\n".join(_option(profile, best=profile is mine[0]) for profile in mine)
    return f'<fieldset class="cubehub-profiles"><legend>How large?</legend>\n{options}\n</fieldset>'


def _option(profile: Profile, *, best: bool) -> str:
    value, checked = ("", " checked") if best else (profile.name, "")
    size = f"{format_bytes(profile.memory)} of memory, {profile.cpu:g} CPU"
    return (
        f'<div class="form-check"><label class="form-check-label">'
        f'<input class="form-check-input" type="radio" name="profile" value="{escape(value)}"{checked}> '
        f"<strong>{escape(profile.title)}</strong>: {escape(size)}</label></div>"
    )
