"""Every route of the gateway with what nobody means: refused with a reason, never a server error."""

import http.client
import json
from contextlib import closing
from itertools import product
from urllib.parse import quote, urlsplit

import pytest
from support import wait_for

pytestmark = pytest.mark.slow

CLUSTERS = "/api/v1/clusters/"
BODIES = (
    b"", b"{", b"[1]", b"[]", b"1", b'"x"', b"null", b"true", b"\xff\xfe", b"9" * 5000, b"[" * 100_000, b'{"a":' * 100_000,
    b'{"cluster_options": {"worker_memory": NaN}}', b'{"cluster_options": {"worker_memory": 1e400}}',
    b'{"cluster_options": {"worker_memory": ' + b"9" * 400 + b"}}", b'{"count": NaN}', b'{"cluster_options": {"\\ud800": 1}}',
)  # fmt: skip
WRONG = (None, -1, 1.5, "x", "a\nb", "漢", [], {}, [1], {"a": 1}, True, "9" * 5000, 10**30)
OPTIONS = ("worker_cores", "worker_memory", "environment", "image", "a\nb", "漢", "")
NAMES = ("nope", "a\nb", "漢", "../..", "%", " ", "a" * 5000, "\0", "<b>'\"")
HEADERS = (
    "",
    "x",
    "jupyterhub",
    "jupyterhub ",
    "token",
    "token x",
    "basic x",
    "bearer a b c",
    "jupyterhub ../../x",
    "jupyterhub \xff",
)


def options():
    """Bodies for a new cluster; none of them is right."""
    yield from (body for body in BODIES if b"count" not in body)
    for value in WRONG[1:]:
        if value != {}:
            yield json.dumps({"cluster_options": value}).encode()
    for name, value in product(OPTIONS, WRONG):
        yield json.dumps({"cluster_options": {name: value, "nope": 1}}).encode()
        yield json.dumps({"cluster_options": {"worker_cores": 99, name: value}}).encode()


def actions():
    yield from BODIES
    for name, value in product(("count", "minimum", "maximum", "active"), WRONG):
        yield json.dumps({name: value}).encode()


class Attacker:
    """Sends, and remembers what went wrong."""

    def __init__(self, connection, gateway, token):
        self.connection, self.gateway, self.token = connection, gateway, token
        self.tried, self.refused, self.failed = 0, 0, []

    def ask(self, method, path, body=None, authorization=None):
        headers = {
            "Content-Type": "application/json",
            "Authorization": authorization or f"jupyterhub {self.token}",
        }
        self.connection.request(method, urlsplit(self.gateway.url).path + path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read().decode(errors="replace")
        call = f"{answer.status} {method} {path[:80]} {(body or b'')[:80]!r}: {text[:80]}"
        self.tried += 1
        if answer.status >= 500 or "Traceback" in text or str(self.gateway.state) in text:
            self.failed.append(call)
        if answer.status in {400, 401, 404, 422}:
            self.refused += 1
            if "error" not in text:
                self.failed.append(f"no reason: {call}")
        return answer.status, text

    def ask_everything(self, own):
        for body in options():
            assert self.ask("POST", CLUSTERS, body)[0] != 201, body
        for action, body in product(("scale", "adapt", "heartbeat"), actions()):
            self.ask("POST", f"{own}/{action}", body)
        for name, method in product(NAMES, ("GET", "DELETE", "scale", "adapt", "heartbeat")):
            path = CLUSTERS + quote(name, safe="")
            if method.islower():
                self.ask("POST", f"{path}/{method}", b'{"count": 1}')
            else:
                self.ask(method, path)
        for value in WRONG:
            self.ask("GET", f"{CLUSTERS}?status={quote(str(value))}")
        for authorization in HEADERS:
            for method, path in (
                ("GET", CLUSTERS),
                ("POST", CLUSTERS),
                ("DELETE", own),
                ("POST", f"{own}/heartbeat"),
            ):
                self.ask(method, path, b"{}" if method == "POST" else None, authorization)


def test_nothing_that_is_sent_is_a_server_error(hub, gateway):
    process = gateway.start()
    with closing(http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=20)) as connection:
        attacker = Attacker(connection, gateway, hub.token("petra"))
        status, text = attacker.ask("POST", CLUSTERS, b'{"cluster_options": {"worker_memory": 0.5}}')
        assert status == 201
        own = CLUSTERS + json.loads(text)["name"]
        wait_for(lambda: json.loads(attacker.ask("GET", own)[1])["status"] == "RUNNING", "the cluster")
        attacker.ask_everything(own)
        assert attacker.ask("DELETE", own)[0] == 204
    print(f"{attacker.tried} requests tried, {len(attacker.failed)} failed")  # noqa: T201 -- is part of the result
    assert attacker.failed == []
    assert attacker.refused > 200
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"[1]", 400, "The body must be a JSON object"),
        (b"{", 400, "The body is no JSON"),
        (b"[" * 100_000, 400, "The body is no JSON"),
        (b'{"cluster_options": {"worker_memory": NaN}}', 400, "NaN is no number"),
        (b'{"cluster_options": [1]}', 422, "cluster_options must be a JSON object"),
        (b'{"cluster_options": {"worker_cores": "two"}}', 422, "worker_cores must be an integer, got 'two'"),
        (b'{"cluster_options": {"worker_cores": true}}', 422, "'worker_cores' must be a number, not true"),
        (b'{"cluster_options": {"worker_cores": 0}}', 422, "worker_cores must be >= 1"),
        (b'{"cluster_options": {"worker_memory": "much"}}', 422, "worker_memory must be a float, got 'much'"),
        (b'{"cluster_options": {"nope": 1}}', 422, "nope"),
    ],
)
def test_a_refusal_says_what_was_wrong(hub, gateway, body, status, words):
    gateway.start()
    address = urlsplit(gateway.url)
    with closing(http.client.HTTPConnection(address.netloc, timeout=20)) as connection:
        headers = {"Authorization": f"jupyterhub {hub.token('petra')}", "Content-Type": "application/json"}
        connection.request("POST", address.path + CLUSTERS, body, headers)
        answer = connection.getresponse()
        assert answer.status == status
        assert words in json.loads(answer.read())["error"]
