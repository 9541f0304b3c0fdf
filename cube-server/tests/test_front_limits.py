"""What one client may make a process in front keep, and for how long."""

import asyncio
import contextlib
import socket
import time

import pytest
import uvloop

from test_front import get, post
from xcube_cubehub.beats import FIRST_WORKER, Beats
from xcube_cubehub.fast import http
from xcube_cubehub.fast.http import Connection, Held, response
from xcube_cubehub.fast.worker import Accepting, Sign

BODY = b"b" * http.MAX_BODY_BYTES
MEGABYTE = b"a" * 2**20


class Served:
    """A server of connections, and one client of it."""

    def __init__(self, answer):
        self.answer, self.connections, self.held = answer, set(), Held()

    async def __aenter__(self):
        self.listening = await asyncio.get_running_loop().create_server(
            lambda: Connection(self.answer, self.connections, self.held), "127.0.0.1", 0
        )
        self.address = self.listening.sockets[0].getsockname()
        self.reader, self.writer = await asyncio.open_connection(*self.address, limit=2**16)
        return self

    async def __aexit__(self, *_):
        self.writer.close()
        for connection in list(self.connections):
            connection._transport.abort()
        self.listening.close()

    async def send_all_that_is_taken(self, data):
        self.writer.write(data)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.writer.drain(), 0.5)
        return len(data) - self.writer.transport.get_write_buffer_size()

    async def until(self, true):
        async with asyncio.timeout(5):
            while not true():  # noqa: ASYNC110 - of what tells nobody
                await asyncio.sleep(0.01)

    def look(self, later_s):
        """What the process does each five seconds, that many seconds from now."""
        for connection in list(self.connections):
            connection.end_if_idle(time.monotonic() + later_s)


async def much(connection, _request):
    """An answer of which there is always more."""
    connection.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while not connection.gone:
        connection.write(MEGABYTE)
        await connection.drain()


def short(_connection, _request):
    return response(200, b"", b"short")


def large(_connection, _request):
    return response(200, b"", MEGABYTE)


def run(answer, client):
    async def whole():
        async with Served(answer) as served:
            await client(served)

    uvloop.run(whole())


def test_who_does_not_read_cannot_send_much_either_and_is_let_go():
    async def client(served):
        await served.send_all_that_is_taken(post("/x", BODY) * 15)
        assert served.held.size < 2 * http.MAX_BODY_BYTES
        served.look(0)
        served.look(http.STUCK_S - 5)
        assert served.connections
        served.look(http.STUCK_S + 5)
        await served.until(lambda: not served.connections)
        assert served.held.size == 0

    run(much, client)


def test_answers_that_nobody_reads_are_not_made():
    made = []

    def answer(connection, request):
        made.append(request)
        return large(connection, request)

    async def client(served):
        await served.send_all_that_is_taken(get("/x") * 10_000)
        (connection,) = served.connections
        await served.until(lambda: not connection._can_write.is_set())
        few = len(made)
        assert few < 20  # what fits into the buffers of both sides
        for _ in range(few + 30):
            head = await served.reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head
            await served.reader.readexactly(2**20)
        assert len(made) > few

    run(answer, client)


def test_who_reads_slowly_stays_as_long_as_something_moves():
    async def client(served):
        served.writer.write(get("/x"))
        (connection,) = await served_connections(served)
        for later in range(0, 300, 50):
            await served.until(lambda: not connection._can_write.is_set())
            served.look(later)
            for _ in range(64):
                await served.reader.read(2**16)
        assert served.connections

    async def served_connections(served):
        await served.until(lambda: served.connections)
        return served.connections

    run(much, client)


@pytest.mark.parametrize("part", [b"GET /x HTTP/1.1\r\nX-A: ", post("/x", b"b" * 900)[:-800], b"GET /x"])
def test_a_request_comes_to_its_end_in_time(part):
    async def client(served):
        served.writer.write(get("/x"))
        await served.reader.readuntil(b"short")
        for n in range(len(part)):
            served.writer.write(part[n : n + 1])
        (connection,) = served.connections
        await served.until(lambda: connection._receiving)
        served.look(http.ARRIVAL_S - 5)
        assert not connection._transport.is_closing()
        served.look(http.ARRIVAL_S + 5)
        assert b" 408 " in await served.reader.read()

    run(short, client)


def test_a_slow_body_that_comes_on_has_its_time():
    async def client(served):
        served.writer.write(post("/x", BODY)[: -(2**20)])
        await served.until(lambda: served.held.size > 2.9 * 2**20)
        served.look(300)
        served.writer.write(BODY[: 2**20])
        assert b"short" in await served.reader.readuntil(b"short")

    run(short, client)


def test_a_process_that_keeps_much_refuses_only_what_is_large():
    async def client(served):
        served.held.size = http.MAX_HELD_BYTES
        served.writer.write(post("/x", b"b" * 1000))
        await served.reader.readuntil(b"short")
        served.writer.write(post("/x", BODY[:200_000]))
        assert b" 503 " in await served.reader.readuntil(b"\r\n")
        await served.until(lambda: not served.connections)
        assert served.held.size == http.MAX_HELD_BYTES

    run(short, client)


@pytest.mark.parametrize(
    "start",
    [b"GET /x HTTP/1.1\r\nX-A: ", b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", b"\r\n" * 100_000],
)  # fmt: skip
def test_what_comes_to_no_end_is_refused(start):
    async def client(served):
        served.writer.write(start + b"a" * 200_000)
        with contextlib.suppress(ConnectionError):
            got = await served.reader.readuntil(b"\r\n")
            assert b" 431 " in got or b" 400 " in got
        await served.until(lambda: not served.connections)

    run(short, client)


def test_what_follows_a_body_is_no_header():
    heard = []

    def answer(_connection, request):
        heard.append(request)
        return response(200, b"", b"short")

    async def client(served):
        chunked = b"4\r\nbody\r\n0\r\nAuthorization: Bearer good\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
        served.writer.write(
            get("/x", "Transfer-Encoding: chunked", method="POST") + chunked + get("/y", "X-A: b")
        )
        for _ in range(2):
            await served.reader.readuntil(b"short")
        assert [name for name, _ in heard[0].headers] == [b"host", b"transfer-encoding"]
        assert heard[0].body == b"body"
        assert heard[1].header(b"x-a") == b"b"

    run(answer, client)


def test_no_more_connections_are_taken_than_may_be_open():
    async def client():
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        connections = set()
        accepting = Accepting(
            asyncio.get_running_loop(), listening, lambda: Connection(short, connections), connections,
            Sign(Beats.create(1), FIRST_WORKER), most=2,
        )  # fmt: skip
        clients = [await asyncio.open_connection(*listening.getsockname()) for _ in range(3)]
        for _, writer in clients:
            writer.write(get("/x"))
        for reader, _ in clients[:2]:
            await reader.readuntil(b"short")
        assert len(connections) == 2
        clients[0][1].close()
        await clients[2][0].readuntil(b"short")
        accepting.stop()
        for _, writer in clients[1:]:
            writer.close()
        listening.close()

    uvloop.run(client())
