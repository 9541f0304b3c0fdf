"""What a person is told about their server, inside JupyterLab."""

from __future__ import annotations

from typing import Any

__all__ = ["_jupyter_server_extension_points"]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cubehub_account"}]


def _link_jupyter_server_extension(serverapp: Any) -> None:
    """Switch the reasons on: Jupyter Server calls this before it builds its parts."""
    from cubehub_account.extension import link  # noqa: PLC0415 - the provisioner alone needs no server

    link(serverapp)


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Say in the log that it is on."""
    serverapp.log.info("cubehub_account: a kernel that is stopped for memory says so in its notebook")
