"""Parts that do not answer: nobody loses anything by them, nor waits for those that he does not need."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.errors import CubeHubError
from cubehub.storage import journal
from cubehub.storage.keeping import Keeping
from cubehub.storage.notices import record
from cubehub.storage.planning import Entry
from cubehub.storage.policies import ArchiveSettings, Policy
from cubehub.storage.service.app import make_app
from cubehub.storage.service.mine import Mine
from cubehub.storage.service.office import Office
from cubehub.storage.settings import StorageSettings
from cubehub_tests.archived import Place
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def keeping(place: Place, store: str = "") -> Keeping:
    settings = StorageSettings(
        data=place.homes.parent, homes=place.homes, state=place.state, audit_log=place.state / "audit.jsonl", config=None,
    )  # fmt: skip
    return Keeping(settings, who="test", policy=Policy(archive=ArchiveSettings(to=store)))


@pytest.mark.parametrize("only", [None, b"a.ipynb"])
def test_what_is_in_quarantine_comes_back_without_the_place_of_archives(
    place: Place, only: bytes | None
) -> None:
    mine = Mine(keeping(place, str(place.homes / "not" / "mounted")), b"ana", "ana")
    done = mine.restore(place.move().id, only)
    assert done.path == (b"work" if only is None else b"work/a.ipynb")
    assert (place.ana / "work" / "a.ipynb").read_text() == "{}"


def test_what_is_back_is_kept_though_the_audit_log_cannot_be_written(place: Place) -> None:
    (place.state / "audit.jsonl").mkdir()
    made = keeping(place)
    with pytest.raises(CubeHubError, match="cannot be written down"):
        Mine(made, b"ana", "ana").restore(place.move().id, None)
    assert (place.ana / "work").exists()
    with record.opened(place.state) as told:
        assert [(one.path, one.by) for one in told.kept(0)] == [(b"work", "you")]


def test_what_is_only_in_an_archive_needs_its_place(place: Place) -> None:
    place.archive()
    place.purge()
    mine = Mine(keeping(place, str(place.homes / "not" / "mounted")), b"ana", "ana")
    with pytest.raises(CubeHubError, match="is not the folder that archives were put into"):
        mine.restore(place.move().id, None)
    assert journal.read(place.state, journal.PURGED)[0].restorable


def test_nothing_that_people_made_is_moved_while_nobody_can_be_asked(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = keeping(place)

    def nobody() -> None:
        raise CubeHubError("Keycloak is down.")

    monkeypatch.setattr(made, "owners", nobody)
    monkeypatch.setattr("cubehub.storage.notices.telling.why_not", lambda *_: "")
    kinds = {"large": b"a", "scratch": b"scratch/b", "idle": b"", "pip": b".cache/pip"}
    entries = [Entry(b"ana", path, kind, 1, 1, 1, 100, 7) for kind, path in kinds.items()]
    waits = made.waiting(entries)
    assert {e.kind for e in entries if (e.home, e.path) in waits} == {"large", "scratch", "idle"}


class Auth:
    """Says that everybody is ana."""

    base_url = "/services/storage/"

    async def user_for_token(self, *_: object, **__: object) -> dict[str, Any]:
        return {"name": "ana", "kind": "user", "scopes": ["access:services"]}

    def get_session_id(self, _: object) -> str:
        return ""


def test_whoever_looks_into_an_archive_that_does_not_answer_keeps_nobody_from_their_page(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, within = threading.Event(), threading.Semaphore(0)

    def inside(*_: object) -> list[dict[str, Any]]:
        within.release()
        assert release.wait(60)
        return []

    monkeypatch.setattr(Mine, "inside", inside)
    office = Office(keeping(place).settings, Auth(), SimpleNamespace())  # type: ignore[arg-type]

    async def act() -> None:
        server = HTTPServer(make_app(office))
        listening, port = bind_unused_port()
        server.add_socket(listening)
        client = AsyncHTTPClient(force_instance=True, max_clients=50)

        async def ask(path: str) -> int:
            url = f"http://127.0.0.1:{port}/services/storage{path}"
            got = await client.fetch(
                url,
                headers={"Authorization": "token x"},
                raise_error=False,
                request_timeout=0,
                connect_timeout=0,
            )
            return got.code

        waiting = [asyncio.create_task(ask("/api/mine/inside?number=1")) for _ in range(20)]
        for _ in range(4):
            await asyncio.to_thread(within.acquire)
        assert await ask("/api/mine") == 200
        release.set()
        assert await asyncio.gather(*waiting) == [200] * 20
        server.stop()

    asyncio.run(asyncio.wait_for(act(), 120))
    for threads in (office.threads, office.moving, office.asking):
        threads.shutdown()
