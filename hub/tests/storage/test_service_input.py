"""Whatever is sent to the storage service, it says what is wrong with it, and its pages are there for the next one."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.entitlements.rules import WRITE_SCOPE
from cubehub.errors import CubeHubError
from cubehub.storage import rounds
from cubehub.storage import scan as scanning
from cubehub.storage.deciding import Kept, Owner
from cubehub.storage.keeping import Keeping
from cubehub.storage.notices import record
from cubehub.storage.planning import COLUMNS, Entry
from cubehub.storage.results import Results
from cubehub.storage.service.app import make_app
from cubehub.storage.service.office import Office
from cubehub.storage.service.schedule import Schedule
from cubehub.storage.settings import StorageSettings
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import HTTPError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tornado.httpclient import HTTPResponse

HEAD = ",".join(COLUMNS)
ROW = "ana,.cache/pip,pip,1,1,never,2027-01-01T00:00:00Z,7"


class Auth:
    """Says of each token whose it is: ``NAME`` or ``NAME-admin``."""

    base_url = "/services/storage/"

    async def user_for_token(self, token: str, **_: object) -> dict[str, Any]:
        name, _, rest = token.partition("-")
        return {
            "name": name,
            "kind": "user",
            "scopes": ["access:services", *([WRITE_SCOPE] if rest else [])],
        }

    def get_session_id(self, _: object) -> str:
        return ""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StorageSettings:
    root = tmp_path_factory.mktemp("service")
    (root / "homes" / "ana" / ".cache" / "pip").mkdir(parents=True)
    (root / "homes" / "ana" / ".cache" / "pip" / "a").write_text("a")
    (root / "config").mkdir()
    (root / "config" / "storage.yaml").write_text("preset: university\n")
    made = StorageSettings(
        data=root, homes=root / "homes", state=root / "state", audit_log=root / "audit.jsonl", config=root / "config",
        public_url="https://h", links_secret="s" * 32,
    )  # type: ignore[arg-type]  # fmt: skip
    Results(made.state).add(scanning.scan(made.homes, processes=1))
    return made


@pytest.fixture
def ask(settings: StorageSettings) -> Callable[..., HTTPResponse]:
    def act(path: str, sent: object = None, who: str = "ana-admin") -> HTTPResponse:
        async def fetch() -> HTTPResponse:
            office = Office(settings, Auth(), SimpleNamespace(begin=lambda _: None))  # type: ignore[arg-type]
            server = HTTPServer(make_app(office))
            socket, port = bind_unused_port()
            server.add_socket(socket)
            body = sent if isinstance(sent, str | bytes | None) else json.dumps(sent)
            try:
                return await AsyncHTTPClient(force_instance=True).fetch(
                    f"http://127.0.0.1:{port}/services/storage{path}", method="GET" if body is None else "POST", body=body,
                    headers={"Authorization": f"token {who}"}, raise_error=False,
                )  # fmt: skip
            finally:
                server.stop()
                for threads in (office.threads, office.moving, office.asking):
                    threads.shutdown()

        return asyncio.run(fetch())

    return act


def plan(**cells: str) -> dict[str, str]:
    """A plan with one line in which some cells are others."""
    row = dict(zip(COLUMNS, ROW.split(","), strict=True)) | cells
    return {"plan": f"{HEAD}\n{','.join(row.values())}\n"}


BAD: list[tuple[str, object]] = [
    *(
        (path, sent)
        for path in ("/api/mine/keep", "/api/mine/restore", "/api/admin/hold", "/api/admin/apply", "/api/admin/back")
        for sent in ("[" * 200_000, '{"a":' * 100_000, "[1]", b"\xff\xfe", "NaN", "nul", {}, {"path": None, "home": 5, "number": None})
    ),
    *(
        ("/api/mine/keep", sent)
        for sent in (
            {"path": "\ud800"}, {"path": "a/" * 9000}, {"path": "../x"}, {"path": "a\0"}, {"path": ["a"]}, {"path": "a", "days": 10**30},
            {"path": "a", "days": -1}, {"path": "a", "days": 1.5}, {"path": "a", "days": True}, {"path": "a", "days": "7"},
        )
    ),
    *(("/api/admin/undo", {"run": run}) for run in (True, "x", -1, [1], 99)),
    *(("/api/mine/let-go", sent) for sent in ({"path": "\ud800"}, {"path": "never kept"}, {"path": 1})),
    *(
        ("/api/mine/restore", sent)
        for sent in (
            {"number": -1}, {"number": True}, {"number": 1, "only": ["a"]}, {"number": 1, "only": "../x"}, {"number": 1, "only": "\ud800"},
            {"number": "1 "}, {"number": "\uff11"}, {"number": 10**11}, '{"number": NaN}',
        )
    ),
    *(("/api/admin/hold", sent) for sent in ({"home": "\ud800"}, {"home": ["ana"]}, {"home": "ana", "path": 7}, {"home": "ana", "hold": "no"})),
    *(("/api/admin/back", {"number": number}) for number in ({"a": 1}, True, 1.0, "1", 10**30, None)),
    *(("/api/admin/rounds/pause", {"why": why}) for why in ("\ud800", "a\nb", "x" * 300, 7)),
    *(("/api/admin/plan", {"by": by}) for by in ("soon", "0001-01-01", {"a": 1}, 20, "2027-13-45", "\ud800")),
    *(
        ("/api/admin/apply", sent)
        for sent in (
            {"plan": 7}, {"plan": ""}, {"plan": ROW}, {"plan": f'{HEAD}\n"{ROW}\n{ROW}'}, {"plan": f'{HEAD}\n{ROW}\nana,"a'},
            plan(path="a" * 200_000), plan(bytes="9" * 4000), plan(bytes="9" * 5000), plan(bytes="-5"), plan(files="-1"), plan(inode="9" * 30),
            plan(inode="-1"), plan(path="\ud800"), plan(path="a\0b"), plan(home=".."), plan(home="a/b"), plan(kind="erasure"),
            plan(unused_since="0000-00-00T00:00:00Z"), plan(last_used="soon"), {"plan": f"{HEAD}\n{ROW}\n{ROW}\n"},
        )
    ),
    ("/api/mine/inside?number=x", None),
    ("/api/mine/inside?number=%FF", None),
    ("/api/mine/inside", None),
    ("/keep/1.abc", None),
    ("/keep/1.abc", ""),
    ("/keep/%ED%A0%80.x", None),
    ("/unsubscribe/999999999999.0", ""),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_input_is_told_and_is_no_failure(ask: Callable[..., HTTPResponse], number: int) -> None:
    path, sent = BAD[number]
    got = ask(path, sent)
    assert 400 <= got.code < 500, (path, str(sent)[:200], got.code, got.body[:500])
    assert b"Something went wrong" not in got.body
    assert b"Traceback" not in got.body


def test_a_plan_as_of_the_last_day_there_is(ask: Callable[..., HTTPResponse]) -> None:
    assert ask("/api/admin/plan", {"by": "9999-12-31T23:59:59-23:59"}).code == 200
    assert ask("/api/admin/plan", {"by": "9999-12-31"}).code == 200


def test_what_is_held_for_ever_breaks_no_page(
    ask: Callable[..., HTTPResponse], settings: StorageSettings
) -> None:
    with record.opened(settings.state) as told:
        told.keep(Kept(b"ana", b"", 253402300800.0, "admin"), "root", 0)
        told.keep(Kept(b"ana", b"x", 1e30, "admin"), "root", 0)
    for path in ("/api/mine", "/api/admin"):
        got = ask(path)
        assert got.code == 200, got.body[:300]
        assert json.loads(got.body)["kept"][0]["until"] == "9999-12-31"


def test_only_administrators_see_and_do_something_about_others(ask: Callable[..., HTTPResponse]) -> None:
    for path, sent in BAD:
        if "/admin" in path:
            assert ask(path, sent, who="ana").code == 403
    assert ask("/api/admin", who="ana").code == 403


def test_a_clock_that_went_wrong_stops_no_rounds(settings: StorageSettings) -> None:
    rounds.History(settings.state).begin("it", 5_000_000_000.0)
    assert Schedule(settings, now=lambda: 1_800_000_000.0).is_due()
    rounds.History(settings.state).begin("it", 1_800_000_000.0)
    assert not Schedule(settings, now=lambda: 1_800_000_100.0).is_due()
    assert Keeping(settings).policy.every == 86400


def test_whoever_waits_for_the_keeper_or_for_keycloak_keeps_nobody_from_their_page(
    settings: StorageSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(settings, Auth(), SimpleNamespace())  # type: ignore[arg-type]
    release, asked = threading.Event(), []

    def owners(_: Keeping) -> dict[str, Owner]:
        asked.append(1)
        assert release.wait(30)
        return {"ana": Owner("ana", storage=7)}

    monkeypatch.setattr(Keeping, "owners", owners)
    monkeypatch.setattr("cubehub.storage.service.office._PATIENCE_S", 0.1)

    async def act() -> None:
        waiting = [
            asyncio.create_task(office.do(lambda _: release.wait(30), "ben", moves=True)) for _ in range(20)
        ]
        assert [await office.owner_of("ana") for _ in range(5)] == [None] * 5
        assert await office.do(lambda keeping: keeping.who, "ana") == "ana"
        release.set()
        await asyncio.gather(*waiting)
        assert office._asked is not None
        await office._asked
        found = await office.owner_of("ana")
        assert (found and found.storage, await office.owner_of("ben"), len(asked)) == (7, None, 1)

    asyncio.run(act())
    for threads in (office.threads, office.moving, office.asking):
        threads.shutdown()


@pytest.mark.parametrize(
    "error", [ValueError("broken"), CubeHubError("The disk fails."), HTTPError(500, "x")]
)
@pytest.mark.parametrize("what", ["keep", "unsubscribe"])
def test_a_link_in_a_mail_is_in_no_log(
    ask: Callable[..., HTTPResponse], settings: StorageSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    error: Exception, what: str,
) -> None:  # fmt: skip
    def fail(*_: object) -> None:
        raise error

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(record, "opened", fail)
    token = getattr(settings.links(), what)(7).rpartition("/")[2]
    assert ask(f"/{what}/{token}").code == 500
    ask(f"/{what}/{token}x")
    said = caplog.text
    assert what in said
    assert token not in said


def test_only_the_run_that_was_seen_is_undone(
    ask: Callable[..., HTTPResponse], settings: StorageSettings
) -> None:
    place = settings.homes / "ana" / "runs"
    with Keeping(settings).keeper() as (keeper, made):
        for name in ("1", "2"):
            (place / name).mkdir(parents=True)
            inode = (place / name).stat().st_ino
            entry = Entry(b"ana", f"runs/{name}".encode(), "pip", 1, 1, 0, 100, inode)
            run = made.begin_run("", "", 0)
            assert keeper.quarantine(run, entry).why == ""
    got = ask("/api/admin/undo", {"run": run - 1})
    assert (got.code, b"Another run" in got.body) == (400, True)
    assert ask("/api/admin/undo", {"run": run}).code == 200
    assert [p.name for p in place.iterdir()] == ["2"]


@pytest.mark.parametrize("path", ["/api/mine", "/", "/admin/"])
def test_a_hub_that_is_down_is_told_without_its_address(
    ask: Callable[..., HTTPResponse], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async def down(*_: object, **__: object) -> None:
        raise HTTPError(500, "Failed to connect to Hub API at %r", "http://10.0.0.7:8081/hub/api")

    monkeypatch.setattr(Auth, "user_for_token", down)
    got = ask(path)
    assert got.code == 500
    assert b"The Hub does not answer" in got.body
    assert b"10.0.0.7" not in got.body
    assert b"Failed to connect" not in got.body
