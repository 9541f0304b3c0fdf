"""How cubes are taken in: all of it blocks, and runs in threads."""

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from xcube_cubehub.config import ServerSettings
from xcube_cubehub.fast.published import PALETTES
from xcube_cubehub.memory import give_back
from xcube_cubehub.publishing import records, rules
from xcube_cubehub.publishing.judging import judge
from xcube_cubehub.publishing.model import PublishError, Record, Wish, id_of
from xcube_cubehub.publishing.rules import Person
from xcube_cubehub.publishing.settings import Publishing
from xcube_cubehub.publishing.shelf import Shelf
from xcube_cubehub.publishing.uploads import LEFT_S, Upload, check_free, disk_errors, known_steps

log = logging.getLogger(__name__)
PATIENCE_S = 0.5
"""How long a part waits for another one that is just put away."""
REMEMBERED = 200
"""Uploads that are done, of which it is still known what they became."""
_BUSY = (503, "busy", "a step of this cube is just being written", "send the part again in a moment")
_NO_UPLOAD = (404, "no_upload", "there is no such upload", "begin again: publish the cube once more")


class Desk:
    """Takes cubes in; what is published is on its shelf.

    Parameters
    ----------
    settings : ServerSettings
        From the Hub.
    clock : callable
        Unix time.
    """

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._now = settings, clock
        self.shelf = Shelf(settings, clock)
        self._folders, self._registry = self.shelf.folders, self.shelf.registry
        self._uploads: dict[str, Upload] = {}
        self._published: dict[str, Record] = {}
        self._lock = self.shelf.lock
        self._colours: tuple[float, frozenset[str]] = (0.0, frozenset())
        for folder in (self._folders.root, self._folders.cubes, self._folders.uploads, self._folders.items):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in self._folders.uploads.iterdir():
            upload = Upload.load(folder)
            if upload is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                self._uploads[upload.meta.id] = upload

    # Sending

    def begin(self, wish: Wish, person: Person) -> dict[str, Any]:
        """Judge a cube and begin its upload, or go on with one that is the same."""
        limits, now = self.shelf.limits(), self._now()
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
            kept = self._registry.get(cube)
            if kept is not None and not person.owns(kept):
                # the same name, and another account: it was given out again
                raise PublishError(
                    409, "name_taken", f"the name {wish.name} cannot be used", "take another name"
                )
            if cube in self.shelf.operators():
                raise PublishError(
                    409, "name_taken", f"the platform has a cube {cube} of its own", "take another name"
                )
            rules.check_quota(self._registry.records(), person.id, cube, 0, limits)
            rules.check_versions(records.superseded(self._registry, person.id), person.id, limits)
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
        """Remove an upload: now, or when whoever has it in hand lets go of it; nobody waits for that here."""
        self._uploads.pop(upload.meta.id, None)
        upload.given_up = True
        self._clear(upload)

    @staticmethod
    def _clear(upload: Upload) -> None:
        if upload.given_up and upload.lock.acquire(blocking=False):
            try:
                upload.remove()
            finally:
                upload.lock.release()

    @contextmanager
    def _in_hand(self, upload: Upload, patience_s: float = -1) -> Iterator[None]:
        """Have an upload for oneself."""
        if not upload.lock.acquire(timeout=patience_s):
            raise PublishError(*_BUSY)
        try:
            yield
        finally:
            upload.lock.release()
            self._clear(upload)

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
            return {"state": "published", "cube": self.shelf.describe(record)}
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
        upload, limits = self._upload(name, person), self.shelf.limits()
        check_free(self._folders.root, limits.keep_free)
        if upload.writing:
            raise PublishError(*_BUSY)
        with self._in_hand(upload, PATIENCE_S):
            self._alive(upload)
            self._check_quota(upload, person, limits, upload.size() + upload.held() + len(body))
            upload.put(step, variable, part, digest, body)

    def commit(self, name: str, person: Person, step: int, same: str | None) -> dict[str, Any]:
        """Write a step; with ``same`` take it over from the version that is published."""
        upload, limits = self._upload(name, person), self.shelf.limits()
        rules.check_person(person, limits)
        with self._in_hand(upload):
            self._alive(upload)
            check_free(self._folders.root, limits.keep_free)
            upload.writing = True
            try:
                self._commit(upload, step, same)
            finally:
                upload.writing = False
            size, done = upload.size(), upload.done
        self._check_quota(upload, person, limits, size)
        return {"next": done}

    def _commit(self, upload: Upload, step: int, same: str | None) -> None:
        if same is None:
            upload.commit(step)
            return
        kept = self._registry.get(upload.meta.draft.id)
        if kept is None:
            raise PublishError(409, "not_the_same", "nothing is published there any more", "send the step")
        upload.adopt(step, self._folders.cubes / kept.folder, same)

    def _check_quota(self, upload: Upload, person: Person, limits: Publishing, size: int) -> None:
        """Give an upload up where so many bytes of it, and what else its person has and sends, are too much."""
        with self._lock:
            others = [
                u for u in self._uploads.values() if u is not upload and u.meta.draft.owner_id == person.id
            ]
        size += sum(other.size() + other.held() for other in others)
        try:
            rules.check_quota(self._registry.records(), person.id, upload.meta.draft.id, size, limits)
        except PublishError:
            with self._lock:
                self._drop(upload)
            raise

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
        upload, limits = self._upload(name, person), self.shelf.limits()
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
            limits = self.shelf.limits()

            def check(size: int) -> None:
                rules.check_quota(self._registry.records(), draft.owner_id, draft.id, size, limits)

            with self._in_hand(upload):
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
            self.shelf.settle()
            self.shelf.wait_shown(record)
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
            give_back()
        return None

    # From time to time

    def sweep(self) -> None:
        """Remove what is over: cubes after their grace, uploads that nobody goes on with."""
        try:
            grace = self.shelf.limits().grace
        except PublishError:
            return
        with self._lock:
            for name in records.sweep(self._registry, grace, self._now(), self.shelf.operators()):
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
