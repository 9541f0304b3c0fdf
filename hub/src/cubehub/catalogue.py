"""Items of one's own in the platform's catalogue, from a notebook or a terminal: `register`, `registered`, `unregister`, `export`.

Needs nothing but Python.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from cubehub.errors import BadInputError, CubeHubError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CatalogueError", "Registered", "export", "register", "registered", "unregister"]

_TIMEOUT_S = 120.0
_MAX_ANSWER = 2 * 2**30
_LARGEST_ITEM = 1_000_000
_WRONG_INPUT = frozenset({400, 404, 409, 413, 422})


class CatalogueError(CubeHubError):
    """The catalogue refuses, or cannot be reached; ``code`` is the catalogue's."""

    def __str__(self) -> str:
        """Give the message and what to do, as a notebook shows it."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


@dataclass(frozen=True)
class Registered:
    """An item that is registered.

    Attributes
    ----------
    collection : str
        The one to search in; it says who sees the item.
    group : str or None
        Whose members see it; None for the person alone.
    href : str
        Its address.
    """

    id: str
    collection: str
    group: str | None
    owner: str
    registered: str
    datetime: str
    title: str
    href: str

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Read it from an answer."""
        known: dict[str, Any] = {name: told.get(name) for name in cls.__dataclass_fields__}
        return cls(**known)

    def as_json(self) -> dict[str, Any]:
        """Give it for programs."""
        return asdict(self)


def register(item: Any, group: str | None = None) -> Registered:
    """Register an item in the platform's catalogue: it is found by a search when this returns.

    Parameters
    ----------
    item : pystac.Item, dict, path or str
        A STAC item, or the file of one. One of yours with the same id is replaced. Its collection becomes your own, or the
        group's.
    group : str, optional
        One of your groups, such as ``/cubehub/premium``, whose members see it; else you alone do.

    Raises
    ------
    CatalogueError
        The item cannot be used, you may not, there is no room, or the catalogue does not answer.
    BadInputError
        It is no item, or its file cannot be read.
    """
    body: dict[str, Any] = {"item": _as_dict(item), "group": group}
    try:
        data = json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInputError(
            f"The item cannot be written as JSON: {error}", "Take out what is no text, number, list or dict."
        ) from error
    return Registered.from_json(json.loads(_ask("POST", "/items", data)))


def registered() -> list[Registered]:
    """List what you registered.

    Raises
    ------
    CatalogueError
        The catalogue refuses or does not answer.
    """
    return [Registered.from_json(told) for told in json.loads(_ask("GET", "/items"))["items"]]


def unregister(id: str, group: str | None = None) -> Registered:  # noqa: A002 - as STAC calls it
    """Take an item away: nobody finds it any more when this returns.

    Parameters
    ----------
    id
        Of the item.
    group
        The group it was registered for, where that was one.

    Raises
    ------
    CatalogueError
        You registered no such item, or the catalogue does not answer.
    """
    found = next((one for one in registered() if one.id == id and one.group == group), None)
    if found is None:
        whose = f" for the group {group}" if group else ""
        error = CatalogueError(
            f"You registered no item {id}{whose}.",
            "List yours: cubehub catalogue list",
            code="not_registered",
        )
        error.exit_status = 2
        raise error
    _ask("DELETE", f"/items/{quote(found.collection, safe='')}/{quote(found.id, safe='')}")
    return found


def export(folder: str | os.PathLike[str]) -> Path:
    """Write everything that you and your groups registered as a catalogue that needs no server.

    Parameters
    ----------
    folder
        A folder that is not there yet, or is empty.

    Returns
    -------
    Path
        The catalogue: ``pystac.Catalog.from_file`` opens it.

    Raises
    ------
    BadInputError
        The folder cannot be used.
    CatalogueError
        The catalogue refuses or does not answer.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BadInputError(f"{target} is there already, and not an empty folder.", "Name another one.")
    content = _ask("GET", "/export")
    try:
        target.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # zipfile keeps every member below the folder, whatever its name
            archive.extractall(target)
    except OSError as error:
        raise BadInputError(
            f"{target} cannot be written: {error.strerror}.", "Look at its rights and at the room."
        ) from error
    except zipfile.BadZipFile as error:
        raise CatalogueError(
            "The catalogue sent what is no ZIP.", "Try again; it may have been cut off."
        ) from error
    return target / "catalog.json"


def _as_dict(item: Any) -> dict[str, Any]:
    if hasattr(item, "to_dict"):
        # with links to where the item came from, the catalogue's own are left out by it
        item = item.to_dict(include_self_link=False, transform_hrefs=False)
    if isinstance(item, str | os.PathLike):
        path = Path(item)
        try:
            if path.stat().st_size > _LARGEST_ITEM:
                raise BadInputError(
                    f"{path} is larger than 1 MB, which no item may be.",
                    "Leave out what is not searched for.",
                )
            item = json.loads(path.read_bytes())
        except OSError as error:
            raise BadInputError(
                f"{path} cannot be read: {error.strerror}.", "Name the file of a STAC item."
            ) from error
        except (ValueError, RecursionError) as error:
            raise BadInputError(f"{path} is no JSON: {error}", "Name the file of a STAC item.") from error
    if not isinstance(item, dict) or item.get("type") != "Feature":
        raise BadInputError(
            "This is no STAC item.", 'Give a pystac.Item, a dict with "type": "Feature", or its file.'
        )
    return item


def _ask(method: str, path: str, data: bytes | None = None) -> bytes:
    url, token = _here()
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadInputError(
            f"{url!r} is not the address of a catalogue.", "Set CUBEHUB_CATALOGUE_URL to https://HOST/services/catalogue."
        )  # fmt: skip
    # http.client knows of no proxy, which would see the token
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_S)
        try:
            headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
            connection.request(method, f"{parts.path.rstrip('/')}/own{path}", data, headers)
            answer = connection.getresponse()
            status, content = answer.status, answer.read(_MAX_ANSWER)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CatalogueError(
            f"The catalogue at {parts.hostname} does not answer.",
            "Try again in a minute.",
            code="not_reachable",
        ) from error
    if 200 <= status < 300:
        return content
    raise _refusal(status, content)


def _refusal(status: int, content: bytes) -> CatalogueError:
    try:
        said = json.loads(content)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    message, hint, code = (str(said.get(key) or "") for key in ("description", "hint", "code"))
    error = CatalogueError(
        message or f"The catalogue answered with {status}.",
        hint or "Try again in a minute.",
        code=code or "failure",
    )
    error.exit_status = 2 if status in _WRONG_INPUT else 1
    return error


def _here() -> tuple[str, str]:
    url = os.environ.get("CUBEHUB_CATALOGUE_URL")
    if not url and os.environ.get("CUBEHUB_URL"):
        url = os.environ["CUBEHUB_URL"].rstrip("/") + "/services/catalogue"
    token = os.environ.get("CUBEHUB_TOKEN") or os.environ.get("JUPYTERHUB_API_TOKEN")
    if not url or not token:
        raise CatalogueError(
            "This is not a server on a CubeHub platform.",
            "Use a notebook or a terminal in JupyterLab there; elsewhere set CUBEHUB_CATALOGUE_URL and CUBEHUB_TOKEN.",
            code="no_platform",
        )
    return url, token
