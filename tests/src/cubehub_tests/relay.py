"""A way from the Hub's directory to Keycloak that a test can cut, hold up or fill with rubbish; Keycloak itself goes on."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Mode = Literal["pass", "down", "hang", "error"]
_ERROR = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
    b'Content-Length: 25\r\nConnection: close\r\n\r\n{"error":"unknown_error"}\n'
)


class Relay:
    """Passes connections on to Keycloak on loopback, or does not.

    Parameters
    ----------
    port
        Where it listens.
    target
        Tells Keycloak's port; asked for each connection, since it is chosen at the first start.
    """

    def __init__(self, port: int, target: Callable[[], int]) -> None:
        self.port = port
        self._target = target
        self.mode: Mode = "pass"
        self._open: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def broken(self, mode: Mode) -> Iterator[None]:
        """Break the way for a while; connections that are open are cut."""
        self.mode = mode
        self._cut()
        try:
            yield
        finally:
            self.mode = "pass"
            self._cut()

    def close(self) -> None:
        """Listen no longer."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._cut()

    def _cut(self) -> None:
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        try:
            with client:
                if self.mode == "hang":
                    while client.recv(65536):
                        pass
                elif self.mode == "error":
                    client.recv(65536)
                    client.sendall(_ERROR)
                elif self.mode == "pass":
                    with socket.create_connection(("127.0.0.1", self._target())) as keycloak:
                        self._open.add(keycloak)
                        self._pass_on(client, keycloak)
        except OSError:
            pass  # cut, or Keycloak is not there: the Hub sees a connection that ends
        finally:
            self._open.discard(client)

    @staticmethod
    def _pass_on(client: socket.socket, keycloak: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([client, keycloak], [], [])
            for one in ready:
                other = keycloak if one is client else client
                data = one.recv(65536)
                if not data:
                    return
                other.sendall(data)
