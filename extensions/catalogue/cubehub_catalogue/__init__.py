"""Search of many catalogues inside JupyterLab, and from Python without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cubehub_catalogue.searching import catalogues, search

__all__ = ["_jupyter_labextension_paths", "_jupyter_server_extension_points", "catalogues", "search"]


def __getattr__(name: str) -> Any:
    """Give `search` and `catalogues` where they are asked for: a server's start should not wait for them."""
    if name in ("search", "catalogues"):
        from cubehub_catalogue import searching  # noqa: PLC0415 - see above

        return getattr(searching, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """Add ``%catalogue``, on ``%load_ext cubehub_catalogue``."""
    from cubehub_catalogue.magic import CatalogueMagics  # noqa: PLC0415 - needs IPython, which a server does not

    shell.register_magics(CatalogueMagics)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cubehub_catalogue"}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "@cubehub/catalogue"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Add the routes that the panel asks."""
    from cubehub_catalogue.app import load  # noqa: PLC0415 - the search alone needs no server

    load(serverapp)
