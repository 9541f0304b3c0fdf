"""Cubes that are published: who has which, what is told of them, and how they are taken back."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlencode

from xcube_cubehub.config import ServerSettings, read_cubes
from xcube_cubehub.errors import ConfigError
from xcube_cubehub.fast.published import PUBLISHED
from xcube_cubehub.publishing import records, rules
from xcube_cubehub.publishing.model import PublishError, Record, id_of
from xcube_cubehub.publishing.records import Registry
from xcube_cubehub.publishing.rules import Person
from xcube_cubehub.publishing.settings import Publishing
from xcube_cubehub.publishing.uploads import disk_errors

log = logging.getLogger(__name__)
SHOWN_WITHIN_S = 30.0
"""How long is waited until the server shows what was published."""
FRONTS_LOOK_S = 0.5
"""After the fronts were told, all of them have looked."""


class Shelf:
    """What is kept of published cubes. Its methods block.

    Parameters
    ----------
    settings : ServerSettings
        From the Hub.
    clock : callable
        Unix time.
    """

    def __init__(self, settings: ServerSettings, clock: Callable[[], float]) -> None:
        self._settings, self._now = settings, clock
        self.registry = Registry(settings.published)
        self.folders = self.registry.folders
        self.lock = threading.RLock()
        """For what is kept; sending and building do not hold it."""

    def limits(self) -> Publishing:
        """What the operator allows, as it says in the file now; the defaults where that cannot be read."""
        try:
            return read_cubes(self._settings.cubes_yaml).publishing
        except ConfigError as error:
            raise PublishError(
                503, "bad_config", "the platform's list of cubes cannot be read", "tell the operator"
            ) from error

    def operators(self) -> frozenset[str]:
        """Ids of the operator's own cubes, which are shown instead of published ones; none where the list cannot be read."""
        try:
            return frozenset(cube.id for cube in read_cubes(self._settings.cubes_yaml).cubes)
        except ConfigError:
            return frozenset()

    def wait_shown(self, record: Record) -> bool:
        """Wait until all processes in front show a record as it is."""
        until = time.monotonic() + SHOWN_WITHIN_S
        while time.monotonic() < until:
            if records.told(self._settings.state_dir, record, self.folders, PUBLISHED):
                time.sleep(FRONTS_LOOK_S)
                return True
            time.sleep(0.1)
        log.warning("%s is published, and the server does not show it yet", record.id)
        return False

    def listing(self, person: Person, *, everybody: bool) -> dict[str, Any]:
        """A person's cubes, or with the right to it everybody's; and how much room there is."""
        limits = self.limits()
        if everybody and not person.is_admin:
            raise PublishError(403, "not_admin", "only administrators see everybody's cubes", "list your own")
        found = self.registry.records()
        mine = [r for r in found if everybody or person.owns(r)]
        operators = self.operators()
        return {
            "cubes": [self.describe(r, operators) for r in mine],
            "used_bytes": sum(r.bytes for r in mine),
            "quota_bytes": limits.quota,
            "max_cubes": limits.cubes,
            "may_be_public": rules.may_be_public(person, limits),
            "longest_days": limits.longest / 86400,
        }

    def describe(self, record: Record, operators: Collection[str] | None = None) -> dict[str, Any]:
        """What a person is told of a cube; ``why`` it is not shown, where that is not for its time."""
        base = f"{self._settings.public_url}{self._settings.prefix}"
        variable = record.styles[0].name if record.styles else ""
        is_live, why = record.is_live(self._now()), ""
        if is_live and record.id in (self.operators() if operators is None else operators):
            is_live, why = (
                False,
                "the platform has a cube of this name of its own; publish it under another one",
            )
        return {
            **record.model_dump(include={
                "id", "name", "title", "access", "published", "expires", "removed", "bytes", "times",
            }),
            "owner": record.owner_name,
            "live": is_live,
            "why": why,
            "variables": [s.name for s in record.styles],
            "url": f"{base}/viewer/?{urlencode({'dataset': record.id, 'variable': variable})}",
            "zarr_url": f"{base}/s3/pyramids/{record.id}.levels/0.zarr",
            "item_url": f"{base}/ogc/collections/datacubes/items/{record.id}",
        }  # fmt: skip

    def item(self, name: str, person: Person) -> bytes:
        """The STAC item of a cube."""
        record = self._owned(name, person)
        return (self.folders.cubes / record.folder / "item.json").read_bytes()

    def _owned(self, name: str, person: Person) -> Record:
        """A cube by its id, or a person's own by its name; of others, those do not exist."""
        found = {r.id: r for r in self.registry.records()}
        record = found.get(name)
        # Somebody's id may be the name of another's: which of them there is must not tell of a cube that one can't see
        if record is None or not (person.owns(record) or person.is_admin):
            record = found.get(id_of(person.name, name))
        if record is None or not (person.owns(record) or person.is_admin):
            raise PublishError(
                404, "no_cube", f"you have no published cube {name[:80]!r}", "see cubehub.published()"
            )
        return record

    def take_back(self, name: str, person: Person, *, now: bool) -> dict[str, Any]:
        """Stop showing a cube; ``now`` also removes its data."""
        with self.lock:
            record = self._owned(name, person)
            moment = self._now()
            record = record.model_copy(update={"removed": record.removed or moment})
            if now:
                records.forget(self.folders, record.id)
            else:
                records.withdraw(self.folders, record)
        self.settle()
        self._wait_gone(record)
        if now:
            # earlier versions too, which wait for their readers
            with self.lock:
                named = {r.folder for r in self.registry.records()}
                over = [f for f in self.folders.cubes.glob(f"{record.id}.*") if f.name not in named]
            for folder in over:
                shutil.rmtree(folder, ignore_errors=True)
        log.info("%s took %s back", person.name, record.id)
        return self.describe(record) | {"live": False}

    def _wait_gone(self, record: Record) -> None:
        until = time.monotonic() + SHOWN_WITHIN_S
        while time.monotonic() < until:
            if not records.told(self._settings.state_dir, record, self.folders, PUBLISHED):
                time.sleep(FRONTS_LOOK_S)
                return
            time.sleep(0.1)

    def extend(self, name: str, person: Person, days: float) -> dict[str, Any]:
        """Have a cube expire later, or sooner; one that has expired and is still there comes back."""
        limits = self.limits()
        if not person.is_admin:
            rules.check_person(person, limits)
        expires = rules.expiry(days, limits, self._now())
        with self.lock, disk_errors():
            record = self._owned(name, person)
            if not person.is_admin:
                rules.check_access(record, person, limits)
            if record.removed is not None:
                raise PublishError(409, "taken_back", f"{record.name} was taken back", "publish it again")
            record = record.model_copy(update={"expires": expires})
            records.write_record(self.folders, record)
        self.settle()
        return self.describe(record)

    def settle(self) -> None:
        """Have the catalogue offer what is public."""
        with self.lock:
            records.settle_items(self.folders, self.registry.records(), self._now(), self.operators())
