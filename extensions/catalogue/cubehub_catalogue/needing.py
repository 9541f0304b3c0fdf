"""Packages that only some of what is offered needs: a clear word where one is not installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cubehub_catalogue.errors import CatalogueError


def needed(module: str, what: str, else_: str = "") -> Any:
    """Import a module that is not among what this package is installed with.

    Parameters
    ----------
    module
        Its name, which is also that of the package.
    what
        What needs it, as the beginning of a sentence.
    else_
        What works without it.

    Raises
    ------
    CatalogueError
        It is not there; says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:
            raise  # it is there, and something that it needs is not: its own words are better
        raise CatalogueError(
            "not_installed",
            f"{what} needs the package {module}, which is not installed here.",
            " ".join(filter(None, (f"Install it: pip install {module}", else_))),
        ) from error
