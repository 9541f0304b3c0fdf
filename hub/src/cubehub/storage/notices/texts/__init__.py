"""What mails say, in three languages: one file for each in this folder. Pure, but for reading them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

from cubehub_spawner.entitlement import format_bytes
from jinja2 import Environment, PackageLoader, StrictUndefined

from cubehub.mail.settings import LANGUAGES

MOST_LISTED = 30


@dataclass(frozen=True)
class Item:
    """Something that a mail is about; its path as `readable` writes it, empty for the whole home."""

    path: str
    kind: str
    bytes: int
    newest: int

    @property
    def size(self) -> str:
        """Its size as people read it."""
        return format_bytes(self.bytes)

    @property
    def used(self) -> str:
        """The day of its last use, ISO 8601; empty for never."""
        return _day(self.newest) if self.newest else ""


@dataclass(frozen=True)
class Letter:
    """What a mail is about.

    Attributes
    ----------
    topic : str
        Name of the text, such as ``storage-first``.
    title : str
        Of the platform.
    due : float
        Seconds since 1970; of what it means for a topic, see the text.
    link : str
        Where the person can do something about it.
    """

    topic: str
    title: str
    name: str
    due: float
    items: list[Item]
    link: str
    unsubscribe: str = ""
    archived: bool = False
    """Whether what is moved comes into an archive."""
    per_cent: int = 0
    limit: str = ""
    operator: bool = False
    """Whether it goes to the operator, because the person has no address."""


def write(letter: Letter, language: str) -> tuple[str, str]:
    """Subject and text of a mail; in English where there is no such language."""
    chosen = language if language in LANGUAGES else LANGUAGES[0]
    text = (
        _texts()
        .get_template(f"{chosen}/{letter.topic}.txt")
        .render(
            letter=letter,
            due=_day(letter.due),
            items=letter.items[:MOST_LISTED],
            more=max(0, len(letter.items) - MOST_LISTED),
            size=format_bytes(sum(item.bytes for item in letter.items)),
        )
    )
    subject, _, body = text.partition("\n")
    if letter.operator:
        subject = f"[{letter.name}] {subject}"
        before = _texts().get_template(f"{chosen}/operator.txt").render(letter=letter)
        body = f"{before.strip()}\n\n{body.strip()}"
    return " ".join(subject.split()), body.strip() + "\n"


@cache
def _texts() -> Environment:
    return Environment(
        loader=PackageLoader("cubehub.storage.notices", "texts"),
        autoescape=False,  # noqa: S701 - plain text, and names have no control characters
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
