"""What is too much for the storage service: it is not read, and from whom is not logged in nothing long is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from cubehub.entitlements.rules import WRITE_SCOPE
from cubehub.storage import scan as scanning
from cubehub.storage.planning import COLUMNS
from cubehub.storage.results import Results
from cubehub.storage.service.app import LIMITS, make_app
from cubehub.storage.service.office import Office
from cubehub.storage.settings import StorageSettings
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

MIB = 2**20


class Auth:
    """Says of each token whose it is: ``NAME`` or ``NAME-admin``; none of ``nobody``."""

    base_url = "/services/storage/"

    async def user_for_token(self, token: str, **_: object) -> dict[str, Any] | None:
        name, _, rest = token.partition("-")
        scopes = ["access:services", *([WRITE_SCOPE] if rest else [])]
        return None if name == "nobody" else {"name": name, "kind": "user", "scopes": scopes}

    def get_session_id(self, _: object) -> str:
        return ""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StorageSettings:
    tmp_path = tmp_path_factory.mktemp("service")
    (tmp_path / "homes" / "ana").mkdir(parents=True)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "storage.yaml").write_text("preset: university\n")
    made = StorageSettings(
        data=tmp_path, homes=tmp_path / "homes", state=tmp_path / "state", audit_log=tmp_path / "audit.jsonl",
        config=tmp_path / "config", public_url="https://h", links_secret="s" * 32,
    )  # type: ignore[arg-type]  # fmt: skip
    Results(made.state).add(scanning.scan(made.homes, processes=1))
    return made


def send(
    settings: StorageSettings, path: str, who: str, body: bytes, length: int, *, late: bool = False
) -> str:
    """Say that so much is to come, and send what there is of it: what was answered.

    Late is what is sent when the head has been dealt with; the answer is followed by another to the same question then,
    on the same connection.
    """

    async def act() -> str:
        office = Office(settings, Auth(), SimpleNamespace())  # type: ignore[arg-type]
        server = HTTPServer(make_app(office), **LIMITS)
        listening, port = bind_unused_port()
        server.add_socket(listening)
        head = (
            f"POST /services/storage{path} HTTP/1.1\r\nHost: h\r\nAuthorization: token {who}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", port, family=socket.AF_INET)
        try:
            if late:
                for said in ("403", "403"):
                    writer.write(head.encode())
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        assert not await asyncio.wait_for(reader.read(1), 0.2), (
                            "answered before the body is read"
                        )
                    writer.write(body)
                    answered = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
                    assert answered.decode().split(" ", 2)[1] == said
                    assert b"Connection: close" not in answered
                    rest = next(
                        line for line in answered.split(b"\r\n") if line.startswith(b"Content-Length")
                    )
                    await reader.readexactly(int(rest.split()[1]))
                return "403"
            writer.write(head.encode() + body)
            # bounded only so that a server that waits for the rest fails the test instead of hanging it
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 60)
            return answer.decode().split(" ", 2)[1]
        finally:
            writer.close()
            server.stop()
            for threads in (office.threads, office.moving, office.asking):
                threads.shutdown()

    return asyncio.run(act())


@pytest.mark.parametrize("path", ["/keep/1.x", "/unsubscribe/1.x", "/api/mine/keep", "/api/admin/hold", "/x"])
@pytest.mark.parametrize("who", ["nobody", "ana-admin"])
def test_nothing_waits_for_what_is_too_long(settings: StorageSettings, path: str, who: str) -> None:
    assert send(settings, path, who, b"", 2 * MIB) == "400"


@pytest.mark.parametrize("who", ["nobody", "ana"])
def test_of_a_plan_nothing_is_taken_from_whom_may_not_send_one(settings: StorageSettings, who: str) -> None:
    assert send(settings, "/api/admin/apply", who, b"", 20 * MIB) == "403"


@pytest.mark.parametrize("who", ["nobody", "ana"])
def test_who_is_refused_with_a_short_plan_keeps_the_connection(settings: StorageSettings, who: str) -> None:
    """The proxy has it, and tells that nobody is there where it is closed before all was sent."""
    assert send(settings, "/api/admin/apply", who, b'{"plan": ""}', 12, late=True) == "403"


def test_a_long_plan_of_an_administrator_is_taken(settings: StorageSettings) -> None:
    row = "ana,.cache/pip,pip,1,1,never,2027-01-01T00:00:00Z,7\n"
    text = f"# {'x' * 3 * MIB}\n{','.join(COLUMNS)}\n{row}"
    body = json.dumps({"plan": text, "yes_really": True}).encode()
    assert send(settings, "/api/admin/apply", "ana-admin", body, len(body)) == "200"
    assert send(settings, "/api/admin/apply", "ana-admin", b"", 33 * MIB) == "400"
