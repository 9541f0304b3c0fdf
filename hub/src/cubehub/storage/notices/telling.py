"""Whom to tell what, and whether somebody was told often enough. Pure, but for writing it down."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cubehub_spawner.entitlement import format_bytes

from cubehub.mail.outbox import WAITING
from cubehub.storage.kinds import MADE
from cubehub.storage.names import original, readable
from cubehub.storage.notices.texts import Item, Letter, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cubehub.mail.settings import MailSettings
    from cubehub.storage.deciding import Owner
    from cubehub.storage.links import Links
    from cubehub.storage.notices.record import Noticed, Record
    from cubehub.storage.planning import Entry
    from cubehub.storage.policies import NoticeSettings
    from cubehub.storage.results import Home

FIRST, SECOND = "storage-first", "storage-second"
MOVED, FULL = "storage-moved", "storage-full"
"""Topics that one can do without: their mails say how to get no more."""
LEVELS = (80, 95)
"""Per cent of a profile's storage at which the owner of a home is written to."""
_ROOM_AGAIN = 75
"""Per cent below which a home has room again; between this and the first level nothing is said twice."""


@dataclass(frozen=True)
class Step:
    """What is to be done about something that may be moved: one of the three."""

    entry: Entry | None = None
    """It is new: tell its owner for the first time."""
    again: Noticed | None = None
    """Tell its owner for the second time."""
    over: Noticed | None = None
    """It was used, kept or removed meanwhile."""


def steps(
    entries: Iterable[Entry], known: Iterable[Noticed], settings: NoticeSettings, now: float
) -> list[Step]:
    """What is to be done. Pure.

    Parameters
    ----------
    entries : iterable of Entry
        What the policy would move at the time of the first notice's end, `settings.first` from now.
    known : iterable of Noticed
        What people are told about.

    Notes
    -----
    Times count from when a mail has gone out, not from when it was written: a mail server that is down for a day gives
    people a day more. And a mail is a promise: what it said is not before a day stays until then, though `settings` are
    shorter by now.
    """
    wanted = {(e.home, e.path, e.kind, e.inode): e for e in entries if e.kind in MADE}
    found = []
    for one in known:
        entry = wanted.pop((one.home, one.path, one.kind, one.inode), None)
        if entry is None:
            found.append(Step(over=one))
        elif one.first is None:
            found.append(Step(entry=entry, again=one))
        elif (
            one.second is None
            and one.first_sent is not None
            and now >= max(one.first_sent + settings.first, one.due) - settings.second
        ):
            found.append(Step(again=one))
    found += [Step(entry=entry) for entry in wanted.values()]
    return found


def why_not(entry: Entry, known: Iterable[Noticed], settings: NoticeSettings, now: float) -> str:
    """Why an entry of a plan must not be moved yet; empty if it may be. Pure."""
    if entry.kind not in MADE:
        return ""
    one = next((n for n in known if n.ended is None and n.is_about(entry)), None)
    if one is None:
        return "its owner was not told of it"
    if one.first_sent is None:
        return "its owner was not told of it: the mail did not go out"
    if one.second_sent is None:
        return "its owner was told once only"
    if now < max(one.first_sent + settings.first, one.second_sent + settings.second, one.due):
        return "its owner has time left to keep it"
    return ""


def tell(
    record: Record,
    found: list[Step],
    owners: Mapping[str, Owner],
    settings: NoticeSettings,
    mail: MailSettings,
    link: Callable[[int], str],
    title: str,
    now: float,
    *,
    archived: bool = True,
) -> int:
    """Write down what is told, and the mails: all of it or nothing. How many mails were written.

    Parameters
    ----------
    link : callable
        Gives the address at which whoever has a mail keeps what it is about.
    title : str
        Name of the platform.
    archived : bool
        Whether what is moved comes into an archive.

    Notes
    -----
    What nobody can be told of, since its owner has no address and no operator is named, is remembered without a mail;
    it is not moved.
    """
    mails: dict[tuple[str, bytes], list[Step]] = defaultdict(list)
    with record.transaction:
        for step in found:
            if step.over is not None:
                record.end(step.over.id, now, "used, kept or removed")
            elif step.entry is not None:
                mails[FIRST, step.entry.home].append(step)
            elif step.again is not None:
                mails[SECOND, step.again.home].append(step)
        written = 0
        for (topic, home), about in mails.items():
            owner = owners.get(readable(home))
            address = (owner.email if owner else None) or mail.operator
            due = now + settings.first
            if topic == SECOND:
                due = max(now + settings.second, *(s.again.due for s in about if s.again is not None))
            number = None
            if address:
                language = owner.language if owner and owner.email and owner.language else mail.language
                name = owner.username if owner else readable(home)
                number = record.outbox.put(topic, name, address, language, now, state=WAITING)
                letter = Letter(
                    topic, title, name, due, [_item(s) for s in about], link(number), archived=archived,
                    operator=not (owner and owner.email),
                )  # fmt: skip
                record.outbox.fill(number, *write(letter, language), unsubscribe="")
                written += 1
            for step in about:
                _note(record, step, number, now, due)
    return written


def _note(record: Record, step: Step, mail: int | None, now: float, due: float) -> None:
    if step.again is None and step.entry is not None:
        record.begin(step.entry, now, due, mail)
    elif mail is not None and step.again is not None:
        (record.first if step.entry is not None else record.second)(step.again.id, mail, due)


def _item(step: Step) -> Item:
    about = step.again or step.entry
    assert about is not None  # noqa: S101 - one of the two is there, see `steps`
    return Item(readable(about.path), about.kind, about.bytes, about.newest)


def level_of(size: int, storage: int, before: int) -> int:
    """At how many per cent an owner is written to, or was: one of `LEVELS`, or 0. Pure."""
    per_cent = 100 * size / storage if storage else 0
    if per_cent < _ROOM_AGAIN:
        return 0
    return max([before, *(level for level in LEVELS if per_cent >= level)])


@dataclass(frozen=True)
class Post:
    """What is the same for all mails of a round."""

    mail: MailSettings
    links: Links
    title: str
    now: float

    def put(self, record: Record, topic: str, owner: Owner, letter: Callable[[int], Letter]) -> bool:
        """Write a mail that one can do without, in the caller's transaction; whether it was wanted."""
        if not owner.email or not record.outbox.wants(owner.username, topic):
            return False
        language = owner.language or self.mail.language
        number = record.outbox.put(topic, owner.username, owner.email, language, self.now)
        made = replace(letter(number), unsubscribe=self.links.unsubscribe(number))
        record.outbox.fill(number, *write(made, language), unsubscribe=made.unsubscribe)
        return True


def tell_full(record: Record, homes: Iterable[Home], owners: Mapping[str, Owner], post: Post) -> int:
    """Write to whom has a home that is filling up, once for each level; how many mails."""
    written = 0
    with record.transaction:
        before = record.warned()
        for home in homes:
            owner = owners.get(home.name)
            if owner is None or not owner.storage:
                continue
            name = original(home.name)
            was = before.get(name, 0)
            level = level_of(home.bytes, owner.storage, was)
            if level != was:
                record.warn(name, level)
            if level > was:
                per_cent = int(100 * home.bytes / owner.storage)
                limit = format_bytes(owner.storage)
                written += post.put(
                    record,
                    FULL,
                    owner,
                    lambda _n, o=owner, p=per_cent, lim=limit: Letter(  # type: ignore[misc]
                        FULL,
                        post.title,
                        o.username,
                        post.now,
                        [],
                        f"{post.links.base}/",
                        "",
                        per_cent=p,
                        limit=lim,
                    ),
                )
    return written


def tell_moved(
    record: Record, moved: Iterable[Entry], owners: Mapping[str, Owner], hold: float, post: Post
) -> int:
    """Write to whom something was moved from that they had made; how many mails."""
    by_home: dict[bytes, list[Item]] = defaultdict(list)
    for entry in moved:
        if entry.kind in MADE:
            by_home[entry.home].append(Item(readable(entry.path), entry.kind, entry.bytes, entry.newest))
    written = 0
    with record.transaction:
        for home, items in by_home.items():
            owner = owners.get(readable(home))
            if owner is not None:
                written += post.put(
                    record,
                    MOVED,
                    owner,
                    lambda _n, o=owner, i=items: Letter(  # type: ignore[misc]
                        MOVED, post.title, o.username, post.now + hold, i, f"{post.links.base}/"
                    ),
                )
    return written
