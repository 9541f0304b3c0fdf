"""A person's server through the Hub's API, and kernels in it through their websocket."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import httpx
import websocket

from cubehub_tests.people import Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_tests.platform import Whole


class ServerRefusedError(AssertionError):
    """The Hub did not start a server.

    Parameters
    ----------
    status
        Of the Hub's answer.
    message
        What the person would read.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


@dataclass
class Said:
    """What a cell said."""

    stdout: str = ""
    stderr: str = ""
    result: str = ""
    error: str = ""
    """Name and value of what was raised."""
    restarted: bool = False
    """The kernel ended in the cell and was started again."""

    @property
    def text(self) -> str:
        """Standard output, without the end of the line."""
        return self.stdout.strip()


@dataclass
class Kernel:
    """A kernel in a person's server."""

    id: str
    socket: websocket.WebSocket
    session: str = field(default_factory=lambda: uuid.uuid4().hex)

    def run(self, code: str, *, timeout_s: float = 120, check: bool = True) -> Said:
        """Execute code and wait until the kernel is idle again, or has ended.

        Raises
        ------
        AssertionError
            The cell raised, or the kernel ended, unless `check` is off; or nothing came in time.
        """
        message = uuid.uuid4().hex
        header = {
            "msg_id": message,
            "username": "",
            "session": self.session,
            "msg_type": "execute_request",
            "version": "5.3",
        }
        content = {
            "code": code,
            "silent": False,
            "store_history": False,
            "allow_stdin": False,
            "stop_on_error": False,
        }
        self.socket.send(
            json.dumps(
                {
                    "header": header,
                    "parent_header": {},
                    "metadata": {},
                    "content": content,
                    "channel": "shell",
                }
            )
        )
        said = Said()
        ends = time.monotonic() + timeout_s
        while not self._take(json.loads(self._receive(ends, code)), message, said):
            pass
        if check and (said.error or said.restarted):
            raise AssertionError(f"{code}\n{said}")
        return said

    def _receive(self, ends: float, code: str) -> str:
        left = ends - time.monotonic()
        if left <= 0:
            raise AssertionError(f"no answer in time to\n{code}")
        self.socket.settimeout(left)
        try:
            return str(self.socket.recv())
        except websocket.WebSocketTimeoutException as error:
            raise AssertionError(f"no answer in time to\n{code}") from error

    @staticmethod
    def _take(found: dict[str, Any], message: str, said: Said) -> bool:
        """Add one message of the kernel's; True when the cell is done."""
        kind, content = found["header"]["msg_type"], found["content"]
        if kind == "status" and content["execution_state"] in {"restarting", "dead"}:
            said.restarted = True
            return True
        if found["parent_header"].get("msg_id") != message:
            return False
        if kind == "stream":
            setattr(said, content["name"], getattr(said, content["name"]) + content["text"])
        elif kind == "execute_result":
            said.result = content["data"].get("text/plain", "")
        elif kind == "error":
            said.error = f"{content['ename']}: {content['evalue']}"
        return bool(kind == "status" and content["execution_state"] == "idle")


@dataclass
class Account:
    """One person, logged in, with a token for the Hub's API."""

    whole: Whole
    name: str
    visitor: Visitor
    api: httpx.Client

    @classmethod
    def login(cls, whole: Whole, name: str) -> Self:
        """Log in through Keycloak and take a token, as a person does on the Hub's token page."""
        visitor = Visitor.login(whole, name)
        answer = visitor.http.post(
            f"/hub/api/users/{name}/tokens", json={"note": "tests"}, headers={"X-XSRFToken": visitor.xsrf()}
        )
        if answer.status_code != httpx.codes.CREATED:
            visitor.http.close()
            raise AssertionError(f"the Hub gives {name} no token ({answer.status_code}): {answer.text}")
        api = httpx.Client(
            base_url=whole.url,
            timeout=60,
            trust_env=False,
            headers={"Authorization": f"token {answer.json()['token']}"},
        )
        return cls(whole, name, visitor, api)

    def close(self) -> None:
        """Close the connections."""
        self.api.close()
        self.visitor.http.close()

    @property
    def model(self) -> dict[str, Any]:
        """What the Hub knows of the person."""
        found: dict[str, Any] = self.api.get(f"/hub/api/users/{self.name}").json()
        return found

    @property
    def running(self) -> bool:
        """Whether the server runs and is ready."""
        return bool(self.model["servers"].get("", {}).get("ready"))

    def start(self, options: dict[str, Any] | None = None, *, patience_s: float = 180) -> None:
        """Start the server and wait until it answers; nothing happens if it runs.

        Raises
        ------
        ServerRefusedError
            The Hub refused.
        """
        answer = self.api.post(f"/hub/api/users/{self.name}/server", json=options or {}, timeout=patience_s)
        if answer.status_code == httpx.codes.BAD_REQUEST and "already running" in answer.text:
            return
        if answer.is_error:
            raise ServerRefusedError(answer.status_code, answer.json().get("message", answer.text))
        ends = time.monotonic() + patience_s
        while not self.running:
            if time.monotonic() > ends or not self.model["servers"]:
                raise ServerRefusedError(0, f"the server of {self.name} did not come up: {self.progress()}")
            time.sleep(0.5)

    def progress(self) -> str:
        """Last words of the spawn, as the pending page shows them."""
        answer = self.api.get(f"/hub/api/users/{self.name}/server/progress")
        return answer.text.strip()[-1000:]

    def stop(self, *, patience_s: float = 60) -> None:
        """Stop the server and wait until it is gone."""
        self.api.delete(f"/hub/api/users/{self.name}/server")
        ends = time.monotonic() + patience_s
        while self.model["servers"]:
            assert time.monotonic() < ends, f"the server of {self.name} did not stop"
            time.sleep(0.3)

    @contextlib.contextmanager
    def kernel(self, name: str = "python3") -> Iterator[Kernel]:
        """Start a kernel, connect to it, and shut it down afterwards."""
        answer = self.api.post(f"/user/{self.name}/api/kernels", json={"name": name})
        assert answer.is_success, answer.text
        kernel = self.connect(answer.json()["id"])
        try:
            yield kernel
        finally:
            kernel.socket.close()
            with contextlib.suppress(httpx.HTTPError):
                self.api.delete(f"/user/{self.name}/api/kernels/{kernel.id}")

    def connect(self, kernel_id: str) -> Kernel:
        """Connect to a kernel that runs."""
        socket = websocket.create_connection(
            f"{self.whole.url.replace('http', 'ws', 1)}/user/{self.name}/api/kernels/{kernel_id}/channels",
            header={"Authorization": self.api.headers["Authorization"]},
            timeout=60,
            suppress_origin=True,
        )
        return Kernel(kernel_id, socket)
