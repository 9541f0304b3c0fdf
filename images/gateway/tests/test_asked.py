"""What the client sends passes, what nobody means is refused."""

import asyncio
import logging
from contextlib import closing

import pytest
from aiohttp import web
from cubehub_gateway.asked import BadRequestError, check, see_through
from support import wait_for


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("create", b'{"cluster_options": {"worker_cores": 1, "worker_memory": 0.5}}'),
        ("create", b'{"cluster_options": null}'),
        ("scale", b'{"count": 3}'),
        ("adapt", b'{"active": false}'),
        ("adapt", b'{"minimum": 0, "maximum": 4, "active": true}'),
        # distributed's own default for the maximum, as aiohttp writes it
        ("adapt", b'{"minimum": 0, "maximum": Infinity}'),
    ],
)
def test_what_clients_send_passes(action: str, body: bytes) -> None:
    check(action, body)


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("scale", b'{"count": Infinity}'),
        ("adapt", b'{"minimum": Infinity}'),
        ("adapt", b'{"maximum": -Infinity}'),
        ("adapt", b'{"maximum": NaN}'),
        ("adapt", b'{"minimum": 3, "maximum": 2}'),
        ("create", b'{"cluster_options": {"worker_memory": Infinity}}'),
    ],
)
def test_what_nobody_means_is_refused(action: str, body: bytes) -> None:
    with pytest.raises(BadRequestError):
        check(action, body)


async def _serve(handler, caller):
    """Serve one route behind `see_through`, let `caller` talk to its port, and stop when that is dealt with."""
    app = web.Application(middlewares=[see_through], logger=logging.getLogger("gateway"))
    app["log"] = logging.getLogger("gateway")
    app.router.add_post("/api/v1/clusters/{cluster_name}/scale", handler)
    runner = web.AppRunner(app, access_log=logging.getLogger("gateway.access"), access_log_format="%s")
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        await caller(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _request(length):
    return f"POST /api/v1/clusters/x/scale HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def of_access(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "gateway.access"]


# Dask Gateway names the log so
@pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")
def test_a_client_that_hangs_up_is_no_error(caplog):
    caplog.set_level(logging.INFO)

    async def never(_request):
        raise AssertionError("the body never came")

    async def caller(port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            writer.write(_request(100) + b'{"count"')
            await writer.drain()
        await asyncio.to_thread(wait_for, lambda: of_access(caplog), "the server to notice")

    asyncio.run(_serve(never, caller))
    assert of_access(caplog) == ["499"]
    assert [record for record in caplog.records if record.levelno > logging.INFO or record.exc_info] == []


@pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")
def test_a_connection_of_the_gateways_own_that_breaks_is_one(caplog):
    async def broken(_request):
        raise ConnectionResetError("by the Hub")

    async def caller(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            writer.write(_request(12) + b'{"count": 1}')
            assert b" 500 " in await asyncio.wait_for(reader.readline(), 20)

    asyncio.run(_serve(broken, caller))
    assert "POST /api/v1/clusters/x/scale failed" in caplog.text
