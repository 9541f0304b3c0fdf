"""What the profile leaves: asked of the part that counts the home, with what was written since."""

import asyncio

import pytest
from cubehub_catalogue.home.quota import Quota, _own_address
from cubehub_tests.catalogue_net import answer, answering


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_the_count_and_what_was_written_since(monkeypatch):
    status = {"storage_bytes": 1000, "home_bytes": 400}

    async def run():
        async with answering(lambda _: answer(status)) as server:
            monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", f"http://0.0.0.0:{server.port}/user/ana/")
            monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "token-of-the-server")
            clock = Clock()
            quota = Quota(clock)
            assert await quota.left() == 600
            quota.wrote(100)
            assert await quota.left() == 500
            assert len(server.asked) == 1
            assert server.asked[0].path == "/user/ana/cubehub/account/status"
            assert server.asked[0].headers["authorization"] == "token token-of-the-server"
            clock.now += 30
            assert await quota.left() == 500
            status["home_bytes"] = 500
            clock.now += 30
            assert await quota.left() == 500
            status["storage_bytes"] = 2000
            clock.now += 30
            assert await quota.left() == 1500

    asyncio.run(run())


@pytest.mark.parametrize(
    "told",
    [{}, {"storage_bytes": None, "home_bytes": 1}, [], {"storage_bytes": 5, "home_bytes": None}, b"<html>"],
)
def test_where_nobody_knows(monkeypatch, told):
    async def run():
        async with answering(lambda _: answer(told)) as server:
            monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", f"{server.url}/user/ana/")
            monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
            assert await Quota().left() is None

    asyncio.run(run())


def test_without_a_hub(monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_SERVICE_URL", raising=False)
    assert asyncio.run(Quota().left()) is None
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
    for text in ("", "file:///x", "http://", "http://a:b/"):
        assert _own_address(text) is None
    assert _own_address("http://[::]:80/u/") == "http://127.0.0.1:80/u/"
