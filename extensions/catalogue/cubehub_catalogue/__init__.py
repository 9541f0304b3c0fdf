"""Search of many catalogues inside JupyterLab, and from Python without it."""

from __future__ import annotations

from typing import Any

__all__ = ["_jupyter_labextension_paths", "_jupyter_server_extension_points"]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cubehub_catalogue"}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "@cubehub/catalogue"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Add the routes that the panel asks."""
    from cubehub_catalogue.app import load  # noqa: PLC0415 - the search alone needs no server

    load(serverapp)
