"""What people registered, and what they may change of it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from cubehub_stac import own_checks, own_files, own_items
from cubehub_stac.own_items import Entry, Record
from cubehub_stac.visibility import group_collection, own_collection

if TYPE_CHECKING:
    from cubehub_stac.config import Config
    from cubehub_stac.visibility import Person

log = logging.getLogger("cubehub_stac")


class OwnError(Exception):
    """A change that is refused, or that can't be made now."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.status, self.code, self.hint = status, code, hint


class Shown(Protocol):
    """What serves searches."""

    async def put(self, collection: dict[str, Any], item: dict[str, Any]) -> None:
        """Show an item, and its collection as it is described now.

        Raises
        ------
        RefusedError
            For an item that can't be searched for.
        OwnError
            503: not now.
        """

    async def remove(self, collection: str, item_id: str, left: dict[str, Any] | None) -> None:
        """Show an item no longer.

        Parameters
        ----------
        collection, item_id : str
            Which one.
        left : dict or None
            The collection as it is described now; None when nothing is left in it.

        Raises
        ------
        OwnError
            503: not now.
        """


@dataclass(frozen=True)
class Change:
    """An item that is registered now."""

    entry: Entry
    anew: bool
    """False where it took the place of an earlier one."""


class Registry:
    """Everything that is registered; changes are made one after the other.

    Parameters
    ----------
    config : Config
        Where it is kept, and how much one person may have.
    shown : Shown
        What serves searches; a change is answered when it can be found there.
    """

    def __init__(self, config: Config, shown: Shown) -> None:
        self._folder, self._shown = config.own_dir, shown
        self._max_items, self._max_bytes = config.own_items, config.own_bytes
        self._changing = asyncio.Lock()
        self._seen = own_files.stamps(self._folder)
        self._entries: dict[tuple[str, str], Entry] = {
            r.key: r.entry() for r in own_items.records(self._folder)
        }

    async def look_again(self) -> None:
        """Follow what somebody else did to the files: the platform's keeper erases an account, an operator puts back a backup.

        Notes
        -----
        What serves searches follows them by itself. Only files that are not as they were are read.
        """
        async with self._changing:
            seen, read = await asyncio.to_thread(own_items.changed, self._folder, self._seen)
            self._entries = {
                key: entry
                for key, entry in self._entries.items()
                if own_files.file_of(self._folder, *key) in seen
            }
            self._entries |= {record.key: record.entry() for record in read}
            self._seen = seen

    def of(self, person: Person) -> list[Entry]:
        """Items that a person registered; an operator's are all."""
        return [e for _, e in sorted(self._entries.items()) if person.operator or e.owner_id == person.id]

    def within(self, collection: str) -> list[Entry]:
        """Items of a collection."""
        return [e for key, e in sorted(self._entries.items()) if key[0] == collection]

    def used(self, person: Person) -> tuple[int, int]:
        """Items and bytes that a person registered."""
        mine = [e.size for e in self._entries.values() if e.owner_id == person.id]
        return len(mine), sum(mine)

    def read(self, entry: Entry) -> Record | None:
        """Give the item itself; None when it went meanwhile."""
        return own_items.read(self._folder, entry)

    async def register(self, person: Person, item: Any, group: str | None) -> Change:
        """Keep an item and have it found; one of the same id that the person registered there before is replaced.

        Raises
        ------
        RefusedError
            Says what is wrong with the item.
        OwnError
            Says what keeps the person from it.
        """
        if not person.id:
            raise OwnError(
                403, "no_account", "Only people register items.", "Use the token of a person's server."
            )
        if group is not None and group not in person.groups:
            raise OwnError(
                403, "not_a_member", f"You are not a member of the group {group}.",
                f"Your groups: {', '.join(sorted(person.groups)) or 'none'}.",
            )  # fmt: skip
        collection = own_collection(person.id) if group is None else group_collection(group)
        prepared = await asyncio.to_thread(own_checks.prepared, item, collection)
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        record = Record(collection, prepared["id"], person.id, person.name, group, now, prepared)
        # not ended half-way when somebody goes away
        return await asyncio.shield(self._register(person, record))

    async def _register(self, person: Person, record: Record) -> Change:
        async with self._changing:
            before = self._entries.get(record.key)
            if before is not None and before.owner_id != person.id:
                raise OwnError(
                    409, "taken", f"{before.owner_name} registered an item {record.item_id} for this group.",
                    "Give yours another id.",
                )  # fmt: skip
            entry = record.entry()
            self._check_room(person, entry, before)
            await self._keep(record, entry, before)
        return Change(entry, before is None)

    async def _keep(self, record: Record, entry: Entry, before: Entry | None) -> None:
        earlier = await asyncio.to_thread(self.read, before) if before is not None else None
        try:
            await asyncio.to_thread(own_items.write, self._folder, record)
        except OSError as error:
            log.error("%s can't be written to: %s", self._folder, error.strerror)  # noqa: TRY400
            raise OwnError(
                507, "not_kept", f"The item can't be kept: {error.strerror}.", "Tell the operator."
            ) from error
        others = [e for e in self.within(record.collection) if e.key != record.key]
        try:
            await self._shown.put(own_items.described([entry, *others]), record.item)
        except BaseException:
            if earlier is None:
                own_files.remove(self._folder, *record.key)
            else:
                own_items.write(self._folder, earlier)
            raise
        self._entries[record.key] = entry

    def _check_room(self, person: Person, entry: Entry, before: Entry | None) -> None:
        items, size = self.used(person)
        if before is not None:
            items, size = items - 1, size - before.size
        if items + 1 > self._max_items or size + entry.size > self._max_bytes:
            raise OwnError(
                413, "quota",
                f"You may register {self._max_items} items of together {self._max_bytes // 1_000_000} MB.",
                "Remove some that you no longer need.",
            )  # fmt: skip

    async def unregister(self, person: Person, collection: str, item_id: str) -> None:
        """Keep an item no longer, and have it found no longer.

        Raises
        ------
        OwnError
            404 for one that the person did not register.
        """
        await asyncio.shield(self._unregister(person, (collection, item_id)))

    async def _unregister(self, person: Person, key: tuple[str, str]) -> None:
        async with self._changing:
            entry = self._entries.get(key)
            if entry is None or not (person.operator or (person.id and entry.owner_id == person.id)):
                raise OwnError(
                    404, "NotFoundError", "You registered no such item.", "GET own/items lists yours."
                )
            try:
                await asyncio.to_thread(own_files.remove, self._folder, *key)
            except OSError as error:
                raise OwnError(
                    507, "not_removed", f"The item can't be removed: {error.strerror}.", "Tell the operator."
                ) from error
            del self._entries[key]
            left = self.within(key[0])
            await self._shown.remove(*key, own_items.described(left) if left else None)
