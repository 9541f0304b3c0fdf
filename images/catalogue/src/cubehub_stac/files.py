"""The files of the items' assets: where they are offered, and how they are given out."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Mount
from starlette.staticfiles import NotModifiedResponse, StaticFiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

# A file is data, whatever its name: no page of the platform's own origin may come from here.
_HEADERS = {
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}


@dataclass(frozen=True)
class FileFolder:
    """A folder whose files are given out."""

    path: str
    url: str
    """What its files' addresses start with, with a slash at the end."""


def offered_assets(
    assets: dict[str, Any], beside: Path, folders: Iterable[FileFolder]
) -> tuple[dict[str, Any], list[str]]:
    """Make relative links of assets absolute.

    Parameters
    ----------
    assets
        Of an item or a collection.
    beside
        The file it was read from; relative links start there.
    folders
        What is given out.

    Returns
    -------
    tuple
        The assets that are offered, and the names of those that lie in none of the folders: nobody could read them.
    """
    found, left_out = {}, []
    for name, asset in assets.items():
        href = asset.get("href") if isinstance(asset, dict) else None
        if not isinstance(href, str) or not _is_relative(href):
            found[name] = asset
        elif (url := _url(href, beside, folders)) is None:
            left_out.append(name)
        else:
            found[name] = {**asset, "href": url}
    return found, left_out


def _is_relative(href: str) -> bool:
    """Whether a link depends on where its document lies; `/services/…` is the same everywhere on the platform."""
    try:
        return not href.startswith("/") and not urlsplit(href).scheme
    except ValueError:
        return False


def _url(href: str, beside: Path, folders: Iterable[FileFolder]) -> str | None:
    try:
        path = os.path.realpath(beside.parent / unquote(urlsplit(href).path))
    except ValueError:
        return None
    for folder in folders:
        root = os.path.realpath(folder.path)
        inner = os.path.relpath(path, root)
        if path != root and os.path.commonpath([root, path]) == root and not _is_hidden(inner):
            return folder.url + quote(inner)
    return None


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


class _HeldFile(FileResponse):
    """A file that was opened before it was looked at: whoever may write in a folder may exchange it for a link any time."""

    def __init__(self, held: int, name: str, status: os.stat_result) -> None:
        super().__init__(name, stat_result=status)
        self.path, self._held = f"/proc/self/fd/{held}", held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._held)


class _Folder(StaticFiles):
    """One folder: GET and HEAD, ranges, no list of what is in it, nothing hidden, no link that leads out of it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, check_dir=False)
        self._real = os.path.realpath(directory)  # once: it may become a link later

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,  # noqa: ARG002 - of what had the name then
        scope: Scope,
        status_code: int = 200,  # noqa: ARG002 - of pages for what is missing, which there are none of
    ) -> Response:
        held = os.open(full_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            response = _HeldFile(held, os.fspath(full_path), self._looked_at(held))
            unchanged = self.is_not_modified(response.headers, Headers(scope=scope))
        except BaseException:
            os.close(held)
            raise
        if not unchanged:
            return response
        os.close(held)
        return NotModifiedResponse(response.headers)

    def _looked_at(self, held: int) -> os.stat_result:
        """Give the state of an open file that may be given out."""
        status = os.fstat(held)
        inner = os.path.relpath(Path(f"/proc/self/fd/{held}").readlink(), self._real)
        if not stat.S_ISREG(status.st_mode) or _is_hidden(inner):  # what is outside begins with ".."
            raise HTTPException(404)
        return status

    async def get_response(self, path: str, scope: Scope) -> Response:
        if _is_hidden(path):  # also "..", and "." for the folder itself
            raise HTTPException(404)
        try:
            response = await super().get_response(path, scope)
        except OSError as error:
            raise HTTPException(404) from error
        except HTTPException as error:
            if (
                error.status_code == 401
            ):  # so StaticFiles says that it may not read a file; no log-in would help
                raise HTTPException(404) from error
            raise
        response.headers.update(_HEADERS)
        return response


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    status, headers = getattr(error, "status_code", 500), getattr(error, "headers", None)
    if status == 404:
        body = {"code": "NotFoundError", "description": "The catalogue has no such file."}
    else:
        body = {"code": "HTTPException", "description": "Files can only be read.", "hint": "Use GET or HEAD."}
    return JSONResponse(body, status, headers)


class AssetFiles:
    """Answers what is asked below `root`, in front of the application, whose compression would break ranges."""

    def __init__(self, app: ASGIApp, root: str, folders: dict[str, Path]) -> None:
        self.app = app
        self.root = root
        # Anybody may read the catalogue, so pages of other hosts may, too; ranges have to be asked for by name there.
        cors = Middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_methods=["GET", "HEAD"],
            allow_headers=["Range"],
            expose_headers=["Content-Range", "ETag"],
        )
        self.files = Starlette(
            routes=[Mount(f"{root}{name}", _Folder(path)) for name, path in folders.items()],
            middleware=[cors],
            exception_handlers={HTTPException: _refused},
        )
        self.files.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        ours = scope["type"] == "http" and scope["path"].startswith(self.root)
        await (self.files if ours else self.app)(scope, receive, send)
