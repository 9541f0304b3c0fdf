"""What becomes of requests about publishing: all of it blocks, and runs in threads."""

import hashlib
import logging
import shutil
import threading
import time
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlencode

import numpy as np

from xcube_cubehub.config import ServerSettings, read_cubes
from xcube_cubehub.errors import ConfigError
from xcube_cubehub.fast.published import PALETTES, PUBLISHED
from xcube_cubehub.publishing import records, rules
from xcube_cubehub.publishing.judging import judge
from xcube_cubehub.publishing.model import PublishError, Record, Wish, id_of
from xcube_cubehub.publishing.records import Registry
from xcube_cubehub.publishing.rules import Person
from xcube_cubehub.publishing.settings import Publishing
from xcube_cubehub.publishing.uploads import LEFT_S, Upload, check_free, disk_errors, known_steps

log = logging.getLogger(__name__)
SHOWN_WITHIN_S = 30.0
"""How long is waited until the server shows what was published."""
PATIENCE_S = 1.0
"""How long a part waits while a step is written: others wait behind it."""
FRONTS_LOOK_S = 0.5
"""After the fronts were told, all of them have looked."""
REMEMBERED = 200
"""Uploads that are done, of which it is still known what they became."""
_NO_UPLOAD = (404, "no_upload", "there is no such upload", "begin again: publish the cube once more")


class Desk:
    """Takes cubes in, lists them, takes them back.

    Parameters
    ----------
    settings : ServerSettings
        From the Hub.
    clock : callable
        Unix time.
    """

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._now = settings, clock
        self.registry = Registry(settings.published)
        self._folders = self.registry.folders
        self._uploads: dict[str, Upload] = {}
        self._published: dict[str, Record] = {}
        self._lock = threading.RLock()
        """For what is kept of uploads and cubes; sending and building do not hold it."""
        self._colours: tuple[float, frozenset[str]] = (0.0, frozenset())
        for folder in (self._folders.root, self._folders.cubes, self._folders.uploads, self._folders.items):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in self._folders.uploads.iterdir():
            upload = Upload.load(folder)
            if upload is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                self._uploads[upload.meta.id] = upload

    def limits(self) -> Publishing:
        """What the operator allows, as it says in the file now; the defaults where that cannot be read."""
        try:
            return read_cubes(self._settings.cubes_yaml).publishing
        except ConfigError as error:
            raise PublishError(
                503, "bad_config", "the platform's list of cubes cannot be read", "tell the operator"
            ) from error

    # Sending

    def begin(self, wish: Wish, person: Person) -> dict[str, Any]:
        """Judge a cube and begin its upload, or go on with one that is the same."""
        limits, now = self.limits(), self._now()
        rules.check_person(person, limits)
        rules.check_access(wish, person, limits)
        expires = rules.expiry(wish.expires_days, limits, now)
        accepted, problems = judge(wish, limits, self._known_colours(), now)
        if accepted is None:
            errors = [p for p in problems if p.level == "error"]
            raise PublishError(
                422, "not_publishable",
                f"{wish.name[:60]} cannot be published: " + (
                    f"{errors[0].where}: {errors[0].message}" if len(errors) == 1 else f"{len(errors)} things are wrong"
                ),
                errors[0].hint if len(errors) == 1 else "put right what the list says", problems,
            )  # fmt: skip
        cube = id_of(person.name, wish.name)
        record = Record(
            id=cube, name=wish.name, folder="", owner_id=person.id, owner_name=person.name,
            title=str(accepted.attributes["title"])[:300], description=str(accepted.attributes["summary"]),
            attribution=str(accepted.attributes["attribution"])[:300], license=str(accepted.attributes["license"])[:300],
            access=wish.access, styles=list(accepted.styles), published=now, expires=expires, bytes=0, times=0,
        )  # fmt: skip
        digest = hashlib.sha256(
            wish.model_copy(update={"anew": False}).model_dump_json().encode()
        ).hexdigest()
        with self._lock:
            kept = self.registry.get(cube)
            if kept is not None and not person.owns(kept):
                # the same name, and another account: it was given out again
                raise PublishError(
                    409, "name_taken", f"the name {wish.name} cannot be used", "take another name"
                )
            rules.check_quota(self.registry.records(), person.id, cube, 0, limits)
            check_free(self._folders.root, limits.keep_free)
            upload, resumed = self._same(cube, person, digest, anew=wish.anew), True
            if upload is None:
                self._make_room(cube, person, limits)
                upload, resumed = Upload.begin(self._folders, record, accepted, digest), False
                self._uploads[upload.meta.id] = upload
        height, parts = upload.bands() if upload.cube.exists() else (1, 0)
        known = {}
        if kept is not None and upload.cube.exists():
            steps = known_steps(self._folders.cubes / kept.folder, upload.index)
            known = {str(i): steps[t] for i, t in enumerate(upload.meta.times) if t in steps}
        return {
            "upload": upload.meta.id,
            "id": cube,
            "resumed": resumed,
            "dims": list(accepted.dims),
            "variables": list(accepted.index.variables),
            "steps": len(accepted.times),
            "rows": height,
            "parts": parts,
            "known": known,
            "warnings": [p.as_json() for p in problems],
            **self._state(upload),
        }

    def _same(self, cube: str, person: Person, digest: str, *, anew: bool) -> Upload | None:
        """An unfinished upload of the same cube, if what is asked for is the same; another one is given up."""
        for upload in list(self._uploads.values()):
            if upload.meta.draft.id != cube or upload.meta.draft.owner_id != person.id:
                continue
            if upload.finishing is not None:
                raise PublishError(
                    409, "being_finished", "this cube is just being built from an earlier upload", "try again in a minute"
                )  # fmt: skip
            if upload.meta.digest == digest and not anew:
                return upload
            self._drop(upload)
        return None

    def _make_room(self, cube: str, person: Person, limits: Publishing) -> None:
        del cube
        mine = [u for u in self._uploads.values() if u.meta.draft.owner_id == person.id]
        if len(mine) >= limits.uploads:
            raise PublishError(
                429, "too_many_uploads", f"you are sending {len(mine)} cubes already",
                "wait until one is done; one that was left goes away within a day, or when it is published again",
            )  # fmt: skip
        if len(self._uploads) >= limits.all_uploads:
            raise PublishError(503, "busy", "many cubes are being sent just now", "try again in some minutes")

    def _drop(self, upload: Upload) -> None:
        with upload.lock:
            upload.remove()
        self._uploads.pop(upload.meta.id, None)

    def _upload(self, name: str, person: Person) -> Upload:
        with self._lock:
            upload = self._uploads.get(name)
        # another's is told as one that does not exist
        if upload is None or not person.id or upload.meta.draft.owner_id != person.id:
            raise PublishError(*_NO_UPLOAD)
        return upload

    def state(self, name: str, person: Person) -> dict[str, Any]:
        """How far an upload is."""
        with self._lock:
            record = self._published.get(name)
        if record is not None and person.owns(record):
            return {"state": "published", "cube": self.describe(record)}
        upload = self._upload(name, person)
        if upload.failure is not None:
            failure, upload.failure = upload.failure, None
            raise failure
        return {
            **self._state(upload),
            "waiting": [list(w) for w in upload.waiting()] if upload.cube.exists() else [],
        }

    def _state(self, upload: Upload) -> dict[str, Any]:
        if upload.finishing is not None:
            done, total = upload.finishing
            return {
                "state": "finishing",
                "done": done,
                "total": total,
                "next": len(upload.meta.times),
                "fingerprints": [],
            }
        return {"state": "receiving", "next": upload.done, "fingerprints": upload.fingerprints()}

    def put(
        self, name: str, person: Person, step: int, variable: str, part: int, digest: str, body: bytes
    ) -> None:
        """Take a part of a step."""
        upload, limits = self._upload(name, person), self.limits()
        check_free(self._folders.root, limits.keep_free)
        if not upload.lock.acquire(timeout=PATIENCE_S):
            raise PublishError(
                503, "busy", "a step of this cube is just being written", "send the part again in a moment"
            )
        try:
            self._alive(upload)
            upload.put(step, variable, part, digest, body)
        finally:
            upload.lock.release()

    def commit(self, name: str, person: Person, step: int, same: str | None) -> dict[str, Any]:
        """Write a step; with ``same`` take it over from the version that is published."""
        upload, limits = self._upload(name, person), self.limits()
        rules.check_person(person, limits)
        with upload.lock:
            self._alive(upload)
            check_free(self._folders.root, limits.keep_free)
            if same is not None:
                kept = self.registry.get(upload.meta.draft.id)
                if kept is None:
                    raise PublishError(
                        409, "not_the_same", "nothing is published there any more", "send the step"
                    )
                upload.adopt(step, self._folders.cubes / kept.folder, same)
            else:
                upload.commit(step)
            size, done = upload.size(), upload.done
        try:
            rules.check_quota(self.registry.records(), person.id, upload.meta.draft.id, size, limits)
        except PublishError:
            with self._lock:
                self._drop(upload)
            raise
        return {"next": done}

    def _alive(self, upload: Upload) -> None:
        if upload.finishing is not None or upload.meta.id not in self._uploads:
            raise PublishError(
                409, "being_finished", "this upload takes nothing any more", "ask how far it is"
            )

    def give_up(self, name: str, person: Person) -> None:
        """Remove an upload."""
        upload = self._upload(name, person)
        with self._lock:
            self._alive(upload)
            self._drop(upload)

    def start_finish(self, name: str, person: Person) -> Upload | None:
        """Mark an upload as being finished; None if that is under way."""
        upload, limits = self._upload(name, person), self.limits()
        rules.check_person(person, limits)
        # Rights may have changed since it was begun
        rules.check_access(upload.meta.draft, person, limits)
        with self._lock:
            if upload.finishing is not None:
                return None
            if upload.done < len(upload.meta.times):
                raise PublishError(
                    409, "steps_missing", f"{len(upload.meta.times) - upload.done} steps are missing", "send them", next=upload.done
                )  # fmt: skip
            upload.failure, upload.finishing = None, (0, 1)
        return upload

    def finish(self, upload: Upload) -> Record | None:
        """Build, keep, and wait until it is shown; None if that failed, which the upload then says."""
        draft = upload.meta.draft
        try:
            limits = self.limits()

            def check(size: int) -> None:
                rules.check_quota(self.registry.records(), draft.owner_id, draft.id, size, limits)

            with upload.lock:
                record = upload.finish(self._folders, self._now(), check)
                with self._lock, disk_errors():
                    records.write_record(self._folders, record)
        except PublishError as failure:
            upload.failure = failure
        except Exception:
            log.exception("%s could not be finished", draft.id)
            upload.failure = PublishError(
                500,
                "failed",
                "the cube could not be built",
                "try again; if it stays, tell the operator the time",
            )
        else:
            self.settle()
            self.wait_shown(record)
            with self._lock:
                self._published[upload.meta.id] = record
                while len(self._published) > REMEMBERED:
                    del self._published[next(iter(self._published))]
                self._uploads.pop(upload.meta.id, None)
            upload.remove()
            log.info(
                "%s published %s: %d times, %d bytes",
                record.owner_name,
                record.id,
                record.times,
                record.bytes,
            )
            return record
        finally:
            upload.finishing = None
        return None

    def wait_shown(self, record: Record) -> bool:
        """Wait until all processes in front show a record as it is."""
        until = time.monotonic() + SHOWN_WITHIN_S
        while time.monotonic() < until:
            if records.told(self._settings.state_dir, record, self._folders, PUBLISHED):
                time.sleep(FRONTS_LOOK_S)
                return True
            time.sleep(0.1)
        log.warning("%s is published, and the server does not show it yet", record.id)
        return False

    # What there is

    def listing(self, person: Person, *, everybody: bool) -> dict[str, Any]:
        """A person's cubes, or with the right to it everybody's; and how much room there is."""
        limits = self.limits()
        if everybody and not person.is_admin:
            raise PublishError(403, "not_admin", "only administrators see everybody's cubes", "list your own")
        found = self.registry.records()
        mine = [r for r in found if everybody or person.owns(r)]
        return {
            "cubes": [self.describe(r) for r in mine],
            "used_bytes": sum(r.bytes for r in mine),
            "quota_bytes": limits.quota,
            "max_cubes": limits.cubes,
            "may_be_public": rules.may_be_public(person, limits),
            "longest_days": limits.longest / 86400,
        }

    def describe(self, record: Record) -> dict[str, Any]:
        """What a person is told of a cube."""
        base = f"{self._settings.public_url}{self._settings.prefix}"
        variable = record.styles[0].name if record.styles else ""
        now = self._now()
        return {
            **record.model_dump(include={
                "id", "name", "title", "access", "published", "expires", "removed", "bytes", "times",
            }),
            "owner": record.owner_name,
            "live": record.is_live(now),
            "variables": [s.name for s in record.styles],
            "url": f"{base}/viewer/?{urlencode({'dataset': record.id, 'variable': variable})}",
            "zarr_url": f"{base}/s3/pyramids/{record.id}.levels/0.zarr",
            "item_url": f"{base}/ogc/collections/datacubes/items/{record.id}",
        }  # fmt: skip

    def item(self, name: str, person: Person) -> bytes:
        """The STAC item of a cube."""
        record = self._owned(name, person)
        return (self._folders.cubes / record.folder / "item.json").read_bytes()

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
        with self._lock:
            record = self._owned(name, person)
            moment = self._now()
            record = record.model_copy(update={"removed": record.removed or moment})
            if now:
                self._folders.record(record.id).unlink(missing_ok=True)
            else:
                with disk_errors():
                    records.write_record(self._folders, record)
        self.settle()
        self._wait_gone(record)
        if now:
            # earlier versions too, which wait for their readers
            with self._lock:
                named = {r.folder for r in self.registry.records()}
                over = [f for f in self._folders.cubes.glob(f"{record.id}.*") if f.name not in named]
            for folder in over:
                shutil.rmtree(folder, ignore_errors=True)
        log.info("%s took %s back", person.name, record.id)
        return self.describe(record) | {"live": False}

    def _wait_gone(self, record: Record) -> None:
        until = time.monotonic() + SHOWN_WITHIN_S
        while time.monotonic() < until:
            if not records.told(self._settings.state_dir, record, self._folders, PUBLISHED):
                time.sleep(FRONTS_LOOK_S)
                return
            time.sleep(0.1)

    def extend(self, name: str, person: Person, days: float) -> dict[str, Any]:
        """Have a cube expire later, or sooner; one that has expired and is still there comes back."""
        limits = self.limits()
        if not person.is_admin:
            rules.check_person(person, limits)
        expires = rules.expiry(days, limits, self._now())
        with self._lock, disk_errors():
            record = self._owned(name, person)
            if not person.is_admin:
                rules.check_access(record, person, limits)
            if record.removed is not None:
                raise PublishError(409, "taken_back", f"{record.name} was taken back", "publish it again")
            record = record.model_copy(update={"expires": expires})
            records.write_record(self._folders, record)
        self.settle()
        return self.describe(record)

    # From time to time

    def settle(self) -> None:
        """Have the catalogue offer what is public."""
        with self._lock:
            records.settle_items(self._folders, self.registry.records(), self._now())

    def sweep(self) -> None:
        """Remove what is over: cubes after their grace, uploads that nobody goes on with."""
        try:
            grace = self.limits().grace
        except PublishError:
            return
        with self._lock:
            for name in records.sweep(self.registry, grace, self._now()):
                log.info("%s is over and was removed", name)
            for upload in list(self._uploads.values()):
                if upload.finishing is None and self._now() - upload.touched > LEFT_S:
                    self._drop(upload)
            known = set(self._uploads)
            for folder in self._folders.uploads.iterdir():
                if folder.name not in known:
                    shutil.rmtree(folder, ignore_errors=True)

    def _known_colours(self) -> Collection[str]:
        """Names of the colour maps that the server has told; empty until it has."""
        path = self._settings.state_dir / PALETTES
        try:
            stamp = path.stat().st_mtime
            if stamp != self._colours[0]:
                with np.load(path, allow_pickle=False) as found:
                    self._colours = stamp, frozenset(found.files)
        except (OSError, ValueError):
            return ()
        return self._colours[1]
