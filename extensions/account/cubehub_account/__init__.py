"""What a person is told about their server, inside JupyterLab."""

from __future__ import annotations

from typing import Any

__all__ = ["_jupyter_labextension_paths", "_jupyter_server_extension_points"]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cubehub_account"}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "@cubehub/account"}]


def _link_jupyter_server_extension(serverapp: Any) -> None:
    """Switch the reasons on: Jupyter Server calls this before it builds its parts."""
    from cubehub_account.extension import link  # noqa: PLC0415 - the provisioner alone needs no server

    link(serverapp)


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Add the routes, begin to ask the Hub for news, and say in the log that it is on."""
    from cubehub_account.extension import load  # noqa: PLC0415 - as above

    load(serverapp)
