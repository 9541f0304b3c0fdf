"""What installing the package switches on in a Jupyter server."""

from __future__ import annotations

import os
import shlex
from typing import Any

from cubehub_account.coming import watch
from cubehub_account.hub_link import HubLink
from cubehub_account.memory import ledger
from cubehub_account.provisioner import first_to_go
from cubehub_account.routes import add_routes
from cubehub_account.state import state
from cubehub_account.storage import StorageLink


def link(serverapp: Any) -> None:
    """Set the server's classes before it makes anything of them; what an operator has set stays.

    Parameters
    ----------
    serverapp : jupyter_server.serverapp.ServerApp
        The server that links its extensions.
    """
    ledger()  # counts from the server's start: what was before is nobody's news
    config = serverapp.config
    if "kernel_websocket_connection_class" not in config.ServerApp:
        serverapp.kernel_websocket_connection_class = "cubehub_account.websocket.ReasonedKernelWebsocket"
    if "default_provisioner_name" not in config.KernelProvisionerFactory:
        config.KernelProvisionerFactory.default_provisioner_name = "cubehub-provisioner"
    settings = dict(serverapp.terminado_settings)
    # Not a login shell, as the stock server would take: /etc/profile puts the system's PATH over the environment's.
    shell = settings.get("shell_command") or [os.environ.get("SHELL") or "/bin/sh"]
    command = shlex.split(shell) if isinstance(shell, str) else list(shell)
    serverapp.terminado_settings = {**settings, "shell_command": first_to_go(command)}


def load(serverapp: Any) -> None:
    """Give the pages of the server what they ask, and ask the Hub for news as long as it runs.

    Parameters
    ----------
    serverapp : jupyter_server.serverapp.ServerApp
        The server, with its web application made.
    """
    add_routes(serverapp)
    if os.environ.get("CUBEHUB_RESCUE") == "untold":
        state().say_full()
    hub = HubLink(state().news, serverapp.log)
    if hub.possible:
        serverapp.io_loop.add_callback(hub.run)
        serverapp.io_loop.add_callback(watch, StorageLink(), state().news)
    serverapp.log.info("cubehub_account: a kernel that is stopped for memory says so in its notebook")
