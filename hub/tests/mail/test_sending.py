"""The outbox and the way to a mail server: a real SMTP server that fails in the ways such servers do."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from cubehub.errors import BadInputError
from cubehub.mail import sending
from cubehub.mail.outbox import REFUSED, SENT, TABLES, WAITING, Outbox
from cubehub.mail.sending import message, send_due
from cubehub.mail.settings import MailSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cubehub.mail.sending import Told

HOUR = 3600.0


class Server:
    """Takes mails; says what it is told to say."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.says: list[str] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        answer = self.says.pop(0) if self.says else "250 taken"
        if answer.startswith("250"):
            self.got.append(message_from_bytes(envelope.content, policy=default))
        return answer

    async def handle_RCPT(  # noqa: N802
        self, _server: object, _session: object, envelope: Any, address: str, _options: object
    ) -> str:
        if address.startswith("gone"):
            return "550 no such person"
        if address.startswith("later"):
            return "451 try again"
        envelope.rcpt_tos.append(address)
        return "250 ok"


class AnyPort(Controller):
    """Listens at a port that the system chose."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()


@pytest.fixture
def server() -> Iterator[tuple[Server, Controller]]:
    handler = Server()
    controller = AnyPort(handler, hostname="127.0.0.1", port=0)
    controller.start()
    yield handler, controller
    controller.stop()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = sqlite3.connect(tmp_path / "outbox.sqlite")
    made.executescript(TABLES)
    yield Outbox(made)
    made.close()


def settings(controller: Controller | None, **more: object) -> MailSettings:
    port = controller.port if controller else 1
    made = {"server": "127.0.0.1", "port": port, "security": "none", "sender": "CubeHub <hub@example.org>"}
    return MailSettings.model_validate(made | more)


def put(outbox: Outbox, address: str = "ana@example.org", **more: object) -> int:
    with outbox._made:
        number = outbox.put("storage-first", "ana", address, "et", 1000.0)
        outbox.fill(
            number, str(more.get("subject", "Teie failid")), "Tere, õäöü!\n", str(more.get("unsubscribe", ""))
        )
    return number


def send(outbox: Outbox, with_: MailSettings, at: float = 2000.0) -> Told:
    return asyncio.run(send_due(outbox, with_, lambda: at))


def test_a_mail_goes_out_once(outbox: Outbox, server: tuple[Server, Controller]) -> None:
    number = put(outbox, unsubscribe="https://hub.example.org/u/1")
    assert send(outbox, settings(server[1])).sent == 1
    assert send(outbox, settings(server[1])).sent == 0
    (got,) = server[0].got
    assert (got["To"], got["From"]) == ("ana@example.org", "CubeHub <hub@example.org>")
    assert got["Subject"] == "Teie failid"
    assert got.get_content().split() == ["Tere,", "õäöü!"]
    assert got["List-Unsubscribe"] == "<https://hub.example.org/u/1>"
    assert got["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert got["Auto-Submitted"] == "auto-generated"
    found = outbox.get(number)
    assert found is not None
    assert (found.state, found.sent, found.tries) == (SENT, 2000.0, 1)


def test_a_notice_that_one_cannot_do_without_has_no_unsubscribe(outbox: Outbox) -> None:
    number = put(outbox)
    assert message(outbox.get(number), settings(None))["List-Unsubscribe"] is None  # type: ignore[arg-type]


def test_a_server_that_is_away_for_a_day_loses_nothing(
    outbox: Outbox, server: tuple[Server, Controller]
) -> None:
    for _ in range(5):
        put(outbox)
    away = settings(None)
    at, tries = 2000.0, 0
    while at < 2000.0 + 24 * HOUR:
        told = send(outbox, away, at)
        tries += bool(told.put_off)
        assert told.sent == 0
        at += 600
    assert 10 < tries < 40, "tried again, but not all the time"
    assert send(outbox, settings(server[1]), at + HOUR).sent == 5
    assert len(server[0].got) == 5
    assert send(outbox, settings(server[1]), at + 2 * HOUR).sent == 0


def test_what_is_refused_for_good_is_told_and_what_is_not_is_tried_again(
    outbox: Outbox, server: tuple[Server, Controller]
) -> None:
    numbers = [put(outbox, who) for who in ("gone@example.org", "later@example.org", "ana@example.org")]
    told = send(outbox, settings(server[1]))
    assert (told.sent, told.put_off, told.refused) == (1, 1, 1)
    states = [outbox.get(n) for n in numbers]
    assert [s.state for s in states if s] == [REFUSED, WAITING, SENT]
    assert "no such person" in states[0].said  # type: ignore[union-attr]
    assert [m["To"] for m in server[0].got] == ["ana@example.org"]
    assert outbox.again(3000.0) == 2


@pytest.mark.parametrize("answer", ["451 full", "421 closing"])
def test_a_server_that_is_full_gets_it_later(
    outbox: Outbox, server: tuple[Server, Controller], answer: str
) -> None:
    put(outbox)
    server[0].says = [answer]
    assert send(outbox, settings(server[1])).put_off == 1
    assert send(outbox, settings(server[1]), 2000 + HOUR).sent == 1
    assert len(server[0].got) == 1


def test_one_that_was_cut_off_goes_again_under_the_same_id(
    outbox: Outbox, server: tuple[Server, Controller]
) -> None:
    """The keeper is killed when the server has the mail, and before that is written down."""
    number = put(outbox)
    outbox.begin(outbox.get(number))  # type: ignore[arg-type]
    before = message(outbox.get(number), settings(None))["Message-ID"]  # type: ignore[arg-type]
    assert send(outbox, settings(server[1])).sent == 1
    assert [m["Message-ID"] for m in server[0].got] == [before]


def test_without_a_server_mails_wait_and_on_the_page_they_count(outbox: Outbox) -> None:
    put(outbox)
    told = send(outbox, MailSettings())
    assert (told.sent, told.put_off) == (0, 1)
    assert "mail.server" in told.why
    assert send(outbox, MailSettings(server="page")).sent == 1


def test_a_name_cannot_add_lines_or_people(outbox: Outbox, server: tuple[Server, Controller]) -> None:
    bad = put(outbox, "ana@example.org\nBcc: all@example.org")
    two = put(outbox, "ana@example.org, ben@example.org")
    assert send(outbox, settings(server[1])).refused == 2
    assert not server[0].got
    assert {outbox.get(n).state for n in (bad, two)} == {REFUSED}  # type: ignore[union-attr]


@pytest.mark.parametrize("language", ["et\r\nBcc: all@example.org", "\ud800", "", "xx", "x" * 5000])
def test_a_language_that_is_none_makes_no_mail_one_that_is_refused(outbox: Outbox, language: str) -> None:
    made = replace(outbox.get(put(outbox)), language=language)  # type: ignore[type-var]
    assert message(made, settings(None))["Content-Language"] == "en"


@pytest.mark.parametrize("address", ["", "ana", "ana@", "@", "<ana@x>", "ana@[", "(", '"', "õ@x", "\0@x"])
def test_an_address_that_is_none_keeps_nobody_elses_mail_back(
    outbox: Outbox, server: tuple[Server, Controller], address: str
) -> None:
    bad, good = put(outbox, address), put(outbox)
    told = send(outbox, settings(server[1]))
    assert (told.sent, told.refused) == (1, 1)
    assert [outbox.get(n).state for n in (bad, good)] == [REFUSED, SENT]  # type: ignore[union-attr]


def test_the_name_of_a_server_that_is_none_is_told(outbox: Outbox) -> None:
    put(outbox)
    told = send(outbox, settings(None, server="mail..example.org"))
    assert told.put_off == 1
    assert told.why


def test_a_server_that_hangs_is_asked_once(
    outbox: Outbox, server: tuple[Server, Controller], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_TIMEOUT_S", 0.3)

    async def hang(*_: object) -> str:
        await asyncio.sleep(60)
        return "250 ok"

    server[0].handle_MAIL = hang  # type: ignore[attr-defined]
    numbers = [put(outbox, f"u{n}@example.org") for n in range(4)]
    told = send(outbox, settings(server[1]))
    assert (told.sent, told.put_off) == (0, 4)
    assert [outbox.get(n).tries for n in numbers] == [1, 0, 0, 0]  # type: ignore[union-attr]


def test_a_clock_that_went_wrong_keeps_no_mail_back(
    outbox: Outbox, server: tuple[Server, Controller]
) -> None:
    number = put(outbox)
    year = 365 * 24 * HOUR
    send(outbox, settings(None), at=2000.0 + year)
    assert outbox.get(number).state == "waiting"  # type: ignore[union-attr]
    assert send(outbox, settings(server[1]), at=3000.0).sent == 1


def test_a_password_that_cannot_be_read_is_told(outbox: Outbox, tmp_path: Path) -> None:
    put(outbox)
    with pytest.raises(BadInputError, match="cannot be read"):
        send(outbox, settings(None, user="x", password_file=str(tmp_path / "none")))
    assert outbox.due(os.times().elapsed + 1e9), "the mail waits"


def test_who_wants_no_more_gets_no_more(outbox: Outbox) -> None:
    assert outbox.wants("ana", "storage-full")
    outbox.unsubscribe("ana", "storage-full")
    outbox.unsubscribe("ana", "storage-full")
    assert not outbox.wants("ana", "storage-full")
    assert outbox.wants("ana", "storage-moved")


@pytest.mark.parametrize("sender", ["x", "a@b\nBcc: c@d", "\x1b@x"])
def test_a_sender_that_is_none_is_refused(sender: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        MailSettings(sender=sender)
