"""What the server half makes of the Hub's news, from a stand-in that answers as the Hub does (and as it should not)."""

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass, field

import pytest
from cubehub_account import hub_link
from cubehub_account.hub_link import HubLink, News
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

TOKEN = "secret-of-this-server"
SERVER = {"profile": "premium", "title": "Premium", "memory_bytes": 10 * 2**30, "storage_bytes": 7}


def notice(number, level="info"):
    return {"id": number, "time": "t", "level": level, "code": "x", "message": "m", "hint": "h"}


@pytest.mark.parametrize(
    "rubbish", [None, [], "x", {"notices": 3.5}, {"notices": [7, {"id": "x"}], "server": []}]
)
def test_what_is_no_news_is_ignored(rubbish):
    news = News()
    assert not news.take(rubbish)
    assert (news.notices, news.server, news.last_id) == ([], {}, 0)


def test_news_are_kept_in_order_and_an_end_is_remembered_until_it_is_over():
    news = News()
    assert news.take({"notices": [notice(1), notice(2)], "server": {"title": "Premium"}})
    assert news.take({"notices": [], "server": {"title": "Premium"}})
    assert (news.last_id, len(news.notices), news.ended) == (2, 2, None)
    news.take({"notices": [notice(3, "error")], "server": {}})
    assert news.ended["id"] == 3
    assert news.server, "what was known stays"
    news.add({"id": "kernel-1", "level": "warning"})
    assert news.ended["id"] == 3, "a kernel's end changes nothing about the access"
    for number in range(4, 300):
        news.take({"notices": [notice(number)]})
    assert (len(news.notices), news.ended) == (100, None)


@dataclass
class StandIn:
    """A Hub whose answers a test writes."""

    answers: list = field(default_factory=list)
    """Each a status with a body; the last is given again and again."""
    asked: list = field(default_factory=list)
    port: int = 0

    def answer(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Notices(RequestHandler):
    def initialize(self, hub):
        self.hub = hub

    async def get(self):
        request = self.request
        self.hub.asked.append(
            (self.get_argument("after"), self.get_argument("wait"), request.headers.get("Authorization"))
        )
        status, body = self.hub.answer()
        if self.get_argument("wait") != "0" and status == 200 and not body.get("notices"):
            await asyncio.sleep(0.05)
        self.set_status(status)
        self.finish(body if isinstance(body, str) else json.dumps(body))


@contextlib.asynccontextmanager
async def linked(hub, news, log):
    """Run a link to the stand-in for as long as a test looks."""
    socket, hub.port = bind_unused_port()
    server = HTTPServer(Application([("/hub/api/cubehub/notices", Notices, {"hub": hub})]))
    server.add_socket(socket)
    address = f"http://127.0.0.1:{hub.port}/hub/api"
    link = HubLink(news, log, {"JUPYTERHUB_API_URL": address, "JUPYTERHUB_API_TOKEN": TOKEN})
    running = asyncio.create_task(link.run())
    try:
        yield running
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        server.stop()
        await server.close_all_connections()


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the condition is the code's own state
            await asyncio.sleep(0.01)


@pytest.fixture
def impatient(monkeypatch):
    """Pauses short enough for a test."""
    monkeypatch.setattr(hub_link, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(hub_link, "_LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr(hub_link, "_LEAST_S", 0.01)


@pytest.mark.usefixtures("impatient")
def test_it_asks_with_the_servers_token_for_what_it_does_not_know_yet(caplog):
    news = News()
    hub = StandIn(
        [(200, {"notices": [notice(4)], "server": SERVER}), (200, {"notices": [], "server": SERVER})]
    )

    async def run():
        async with linked(hub, news, logging.getLogger("test")):
            await until(lambda: len(hub.asked) >= 3)

    asyncio.run(run())
    assert hub.asked[:2] == [("0", "0", f"token {TOKEN}"), ("4", "50", f"token {TOKEN}")]
    assert (news.server, [one["id"] for one in news.notices]) == (SERVER, [4])
    assert TOKEN not in json.dumps([news.notices, news.server]) + caplog.text


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "trouble", [(503, "x"), (403, "x"), (200, "no JSON"), (200, {"notices": [], "server": {}})]
)
def test_a_hub_in_trouble_is_named_once_and_what_was_known_stays(trouble, caplog):
    caplog.set_level(logging.INFO)
    news = News()
    good = (200, {"notices": [notice(1)], "server": SERVER})
    hub = StandIn([good, trouble])

    async def run():
        async with linked(hub, news, logging.getLogger("test")):
            await until(lambda: len(hub.asked) >= 8)
            assert (news.server, news.last_id) == (SERVER, 1)
            hub.answers = [
                (200, {"notices": [notice(2)], "server": SERVER}),
                (200, {"notices": [], "server": SERVER}),
            ]
            await until(lambda: news.last_id == 2)

    asyncio.run(run())
    said = [record.getMessage() for record in caplog.records if record.name == "test"]
    assert [text.rpartition("Hub ")[2] for text in said] == [
        "can't be asked for news at the moment",
        "can be asked for news again",
    ]


def test_a_hub_without_news_is_left_alone():
    hub = StandIn([(404, "x")])

    async def run():
        async with linked(hub, News(), logging.getLogger("test")) as running:
            async with asyncio.timeout(30):
                await running

    asyncio.run(run())
    assert len(hub.asked) == 1


def test_a_hub_that_does_not_wait_is_not_asked_without_a_pause(monkeypatch):
    """The pause itself is what is looked at: it is taken, and for as long as it is long."""
    slept = []
    real = asyncio.sleep

    async def sleep(seconds):
        slept.append(seconds)
        await real(0)

    monkeypatch.setattr(hub_link.asyncio, "sleep", sleep)
    hub = StandIn([(200, {"notices": [], "server": SERVER})])

    async def run():
        async with linked(hub, News(), logging.getLogger("test")):
            async with asyncio.timeout(30):
                while len(hub.asked) < 4:
                    await real(0.01)

    asyncio.run(run())
    assert len([seconds for seconds in slept if seconds > 0.5]) >= 3


def test_without_a_hub_there_is_nobody_to_ask():
    assert not HubLink(News(), logging.getLogger("test"), {}).possible
    assert not HubLink(
        News(), logging.getLogger("test"), {"JUPYTERHUB_API_URL": "http://127.0.0.1:1"}
    ).possible
