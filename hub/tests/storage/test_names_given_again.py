"""A name is given to another account while the keeper works: nothing of the earlier one's becomes the new one's."""

from __future__ import annotations

import asyncio
import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.storage import journal
from cubehub.storage import scan as scanning
from cubehub.storage.keeping import Keeping
from cubehub.storage.people import People, merge
from cubehub.storage.planning import Entry
from cubehub.storage.policies import Policy
from cubehub.storage.quarantine import Keeper
from cubehub.storage.results import Results
from cubehub.storage.service.app import make_app
from cubehub.storage.service.office import Office
from cubehub.storage.settings import StorageSettings
from cubehub_spawner import _homes
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cubehub.storage.deciding import Owner
    from cubehub.storage.quarantine import Outcome
    from tornado.httpclient import HTTPResponse


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    folder = tmp_path / "homes" / "ana" / ".cache" / "pip"
    folder.mkdir(parents=True)
    (folder / "a").write_text("of the first")
    os.utime(folder / "a", (1, 1))
    _homes.claim(tmp_path / "homes" / "ana", "first")
    return tmp_path / "homes"


def given_to_another(homes: Path) -> None:
    """What the start of a server does for the new account."""
    _homes.claim(homes / "ana", "second")
    (homes / "ana").mkdir()


def do(
    homes: Path,
    act: Callable[[Keeper, journal.Journal], Outcome],
    step: Callable[[str], None] = lambda _: None,
) -> Outcome:
    with journal.opened(homes.parent / "state") as made:
        keeper = Keeper(homes, made, lambda *_: "", step)
        try:
            return act(keeper, made)
        finally:
            keeper.close()


def away(homes: Path, step: Callable[[str], None] = lambda _: None) -> Outcome:
    inode = (homes / "ana" / ".cache" / "pip").stat().st_ino
    entry = Entry(b"ana", b".cache/pip", "pip", 1, 1, 1, 100, inode)
    return do(homes, lambda keeper, made: keeper.quarantine(made.begin_run("", "", 0), entry), step)


class Auth:
    """Says that everybody is ana."""

    base_url = "/services/storage/"

    async def user_for_token(self, *_: object, **__: object) -> dict[str, Any]:
        return {"name": "ana", "kind": "user", "scopes": ["access:services"]}

    def get_session_id(self, _: object) -> str:
        return ""


async def ask(settings: StorageSettings, path: str, sent: object) -> HTTPResponse:
    office = Office(settings, Auth(), SimpleNamespace())  # type: ignore[arg-type]
    server = HTTPServer(make_app(office))
    listening, port = bind_unused_port()
    server.add_socket(listening)
    try:
        return await AsyncHTTPClient(force_instance=True).fetch(
            f"http://127.0.0.1:{port}/services/storage/api/mine{path}", headers={"Authorization": "token x"}, raise_error=False,
            request_timeout=0, connect_timeout=0,
            **({} if sent is None else {"method": "POST", "body": json.dumps(sent)}),
        )  # type: ignore[arg-type]  # fmt: skip
    finally:
        server.stop()
        for threads in (office.threads, office.moving, office.asking):
            threads.shutdown()


def test_what_is_looked_through_meanwhile_stays_the_first_ones(homes: Path) -> None:
    done = away(homes, lambda name: given_to_another(homes) if name == "checked" else None)
    assert done.why == ""
    (made,) = journal.read(homes.parent / "state", journal.QUARANTINED)
    assert made.account == "first"


def test_what_comes_back_meanwhile_does_not_come_to_the_second(
    homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert away(homes).why == ""
    check = Keeper.check_account
    said: list[str] = []

    def checked(keeper: Keeper, made: journal.Move) -> None:
        check(keeper, made)
        if not said:
            said.append("first")
            given_to_another(homes)

    monkeypatch.setattr(Keeper, "check_account", checked)
    done = do(homes, lambda keeper, made: keeper.put_back(made.moves(journal.QUARANTINED)[0]))
    assert done.why == "the home is another account's by now"
    assert list((homes / "ana").iterdir()) == []


# Before the first start of the new one's server


@pytest.fixture
def settings(homes: Path) -> StorageSettings:
    return StorageSettings(
        data=homes.parent, homes=homes, state=homes.parent / "state", audit_log=homes.parent / "audit.jsonl", config=None,
        hub_api_url="http://h", accounts_url="http://a", hub_api_token="t",
    )  # type: ignore[arg-type]  # fmt: skip


def known_as(account: str) -> dict[str, Owner]:
    about = {"name": "ana", "id": account, "email": "ana@example.org", "profile": "p"}
    return merge([about], [{"name": "ana", "last_activity": None, "servers": {"": {}}}], {"p": 5})


@pytest.mark.parametrize("account", ["first", "second", ""])
def test_nobody_is_told_what_was_in_an_earlier_accounts_home(
    settings: StorageSettings, monkeypatch: pytest.MonkeyPatch, account: str
) -> None:
    monkeypatch.setattr(People, "owners", lambda *_: known_as(account))
    monkeypatch.setattr(StorageSettings, "storage_of_profiles", lambda _: {"p": 5})
    found = (Keeping(settings, policy=Policy()).owners() or {})["ana"]
    assert found.running, "whatever runs there is left alone"
    assert (found.email, found.storage) == ((None, None) if account == "second" else ("ana@example.org", 5))


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("", None),
        ("/inside?number=1", None),
        ("/keep", {"path": "a"}),
        ("/let-go", {"path": "a"}),
        ("/restore", {"number": 1}),
    ],
)
def test_whoever_has_the_name_now_sees_nothing_of_an_earlier_account(
    settings: StorageSettings, monkeypatch: pytest.MonkeyPatch, path: str, sent: object
) -> None:
    if not path:
        Results(settings.state).add(scanning.scan(settings.homes, processes=1))
    assert away(settings.homes).why == ""
    answers = []
    for account in ("first", "second"):
        monkeypatch.setattr(Keeping, "owners", lambda _, account=account: known_as(account))
        answers.append(asyncio.run(ask(settings, path, sent)))
    first, second = answers
    assert (first.code, second.code) == (400 if path == "/let-go" else 200, 403)
    assert b"earlier account" in second.body
    assert b".cache" not in second.body
