"""A server's port, from the moment it listens until the Hub has noticed its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from traitlets import HasTraits

from cubehub_spawner._ports import belongs_to, duplicate, listeners
from cubehub_spawner.errors import ServerEndedError

if TYPE_CHECKING:
    import logging
    import socket
    import subprocess

_LOOK_S = 0.02
"""How often it is seen whether a server that starts listens already."""


class OwnPort(HasTraits):
    """Mixin: the Hub sends people to a port only while it is their server's; see `cubehub_spawner._ports`."""

    if TYPE_CHECKING:
        log: logging.Logger
        server: Any
        proc: subprocess.Popen[bytes] | None
        pid: int
        port: int
        started: int
        _log_name: str

    _held: socket.socket | None = None
    """A duplicate of the socket at which the server listens."""
    _kept = False
    """Whether it was tried to take one over for a server that an earlier Hub started."""

    async def own_port(self) -> bool:
        """Wait until the server listens, and keep its port for it; False when the port is somebody else's.

        Raises
        ------
        ServerEndedError
            It ended before it listened.
        """
        while not await asyncio.to_thread(self._hold):
            if self.proc is not None and self.proc.poll() is not None:
                if await asyncio.to_thread(listeners, self.port):
                    return False
                raise ServerEndedError
            await asyncio.sleep(_LOOK_S)
        return True

    async def take_over_port(self) -> None:
        """Keep the port of a server that an earlier Hub started; tried once."""
        if self._held is None and not self._kept and self.server is not None:
            self.port, self._kept = self.server.port, True
            await asyncio.to_thread(self._hold)

    def let_go_of_port(self) -> None:
        """Give the port back, once nobody is sent there any more."""
        if self._held is not None:
            self._held.close()
        self._held, self._kept = None, False

    def _hold(self) -> bool:
        """Keep a duplicate of the socket at which the server listens; False while it does not, or somebody else does."""
        found = belongs_to(self.port, self.pid, self.started)
        if found is None:
            return False
        if self._held is None:
            try:
                self._held = duplicate(*found)
            except OSError as error:
                self.log.warning("The port of %s's server can't be kept for it: %s", self._log_name, error)
        return True
