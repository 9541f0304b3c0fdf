"""Downloads of assets into the person's home: started, listed, cancelled and gone on with."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cubehub_catalogue.asset_links import absolute, elsewhere, hrefs
from cubehub_catalogue.errors import CatalogueError, InputError, UnknownError, UpstreamError
from cubehub_catalogue.home import folders
from cubehub_catalogue.home.checksums import checksum_of
from cubehub_catalogue.home.names import folder_parts, name_of, safe_name
from cubehub_catalogue.transfer import Transfer, size_text, space_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cubehub_catalogue.http import Client
    from cubehub_catalogue.query import Item
    from cubehub_catalogue.transfer import Room

State = Literal["waiting", "running", "done", "failed", "cancelled"]
_AT_ONCE, _MOST, _MOST_ASSETS = 2, 300, 100
_LIST = "downloads.json"
_LOG = logging.getLogger(__name__)


@dataclass
class Download:
    """One asset on its way into the home."""

    id: str
    catalogue: str
    """Its catalogue's id."""
    href: str
    folder: tuple[str, ...]
    """Below the home."""
    name: str
    algorithm: str | None = None
    digest: str | None = None
    state: State = "waiting"
    bytes: int = 0
    total: int | None = None
    checked: bool = False
    """Whether its checksum was compared."""
    said: int | None = None
    """Bytes as the catalogue says."""
    error: dict[str, Any] | None = field(default=None)

    @property
    def path(self) -> str:
        """Where it lies in the home, when it is done."""
        return "/".join((*self.folder, self.name))

    def told(self) -> dict[str, Any]:
        """Give what the panel shows; no address, which may hold a key."""
        shown = ("id", "state", "name", "bytes", "total", "checked", "error")
        return {**{key: getattr(self, key) for key in shown}, "warning": self._warning(), "path": self.path}

    def _warning(self) -> str | None:
        """Tell a size that is not the one that the catalogue says, where no checksum says that the file is right."""
        if self.state != "done" or self.checked or self.said in (None, self.bytes):
            return None
        return f"The catalogue says that it has {size_text(self.said or 0)}; what came has {size_text(self.bytes)}."


class Downloads:
    """Of one person's server.

    Parameters
    ----------
    home
        Where folders of downloads start.
    kept
        Folder for the list, so that a download can be gone on with after a restart.
    client_of
        Gives the client of a catalogue by its id.
    quota
        Tells how much the person's profile leaves, where somebody knows it; the file system is asked anyway.
    pause
        Waits between attempts.
    """

    def __init__(
        self,
        home: Path,
        kept: Path,
        client_of: Callable[[str], Client],
        *,
        quota: Room | None = None,
        pause: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._home, self._kept, self._client_of = home, kept, client_of
        self._quota, self._pause = quota, pause
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._all = {one.id: one for one in self._read_list()}

    def told(self) -> list[dict[str, Any]]:
        """Give all, the newest last."""
        return [one.told() for one in self._all.values()]

    def start(self, catalogue: str, item: Item, names: Sequence[str], folder: str) -> list[dict[str, Any]]:
        """Begin to download assets of an item.

        Parameters
        ----------
        catalogue
            Its catalogue's id.
        item
            The STAC item.
        names
            Keys of its assets.
        folder
            Below the home; the item gets a folder of its own in it.

        Raises
        ------
        InputError
            The folder can't be written to, or an asset can't be downloaded; nothing is begun then.
        UnknownError
            The item has no such asset.
        """
        parts = folder_parts(folder)
        if parts is None:
            raise folders.not_a_folder(folder[:100])
        if not 0 < len(names) <= _MOST_ASSETS:
            raise InputError("bad_assets", f"Choose 1 to {_MOST_ASSETS} assets.", "Choose fewer.")
        if sum(one.state in ("waiting", "running") for one in self._all.values()) + len(names) > _MOST:
            raise InputError("too_many", f"More than {_MOST} downloads wait.", "Wait for some of them.")
        wanted = [(key, *_asset(item, key)) for key in dict.fromkeys(names)]
        where = (*parts, safe_name(str(item.get("id", "")), "item"))
        made = []
        try:
            with folders.opened_folder(self._home, where, make=True) as opened:
                for key, asset, href in wanted:
                    made.append(self._reserve(opened, catalogue, where, key, asset, href))
        except OSError as error:
            raise space_error(folder or "the home") from error
        for one in made:
            self._all[one.id] = one
            self._run(one)
        self._trim()
        self._write_list()
        return [one.told() for one in made]

    async def cancel(self, id_: str) -> None:
        """Give a download up and remove what there is of it; one that is done is only taken from the list."""
        one = self._known(id_)
        await self._stop(id_)
        if one.state != "done":
            with (
                contextlib.suppress(CatalogueError, OSError),
                folders.opened_folder(self._home, one.folder) as opened,
            ):
                self._remove_part(opened, one)
        if one.state in ("waiting", "running"):
            one.state, one.bytes = "cancelled", 0
        else:
            del self._all[id_]
        self._write_list()

    def resume(self, id_: str) -> dict[str, Any]:
        """Go on with one that failed or was cancelled.

        Raises
        ------
        InputError
            It runs or is done.
        """
        one = self._known(id_)
        if one.state not in ("failed", "cancelled"):
            raise InputError("not_stopped", f"{one.name} is {one.state}.", "Only what has stopped can go on.")
        with folders.opened_folder(self._home, one.folder, make=True) as opened:
            note = folders.read_note(opened, folders.note_of(one.name))
            if note.get("download") != one.id or not folders.exists(opened, folders.part_of(one.name)):
                # what lies there now is not ours
                one.name, one.bytes = self._take_name(opened, one.name, one.id, one.href), 0
        one.state, one.error = "waiting", None
        self._run(one)
        self._write_list()
        return one.told()

    async def close(self) -> None:
        """Stop all; what was written stays to be gone on with."""
        for id_ in list(self._tasks):
            await self._stop(id_)

    # one download

    def _reserve(
        self, opened: int, catalogue: str, where: tuple[str, ...], key: str, asset: dict[str, Any], href: str
    ) -> Download:
        id_ = secrets.token_hex(8)
        checksum = checksum_of(asset)
        size = asset.get("file:size")
        known = isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63
        return Download(
            id=id_,
            catalogue=catalogue,
            href=href,
            folder=where,
            name=self._take_name(opened, name_of(href, key), id_, href),
            algorithm=checksum.algorithm if checksum else None,
            digest=checksum.digest if checksum else None,
            total=size if known else None,
            said=size if known else None,
        )

    def _take_name(self, opened: int, name: str, id_: str, href: str) -> str:
        """Make the part of a file under a name that nothing has, so that no other takes it."""
        made = folders.free_part_name(opened, name)
        os.close(folders.open_part(opened, folders.part_of(made), new=True))
        folders.write_note(opened, folders.note_of(made), {"download": id_, "href": href})
        return made

    def _run(self, one: Download) -> None:
        task = asyncio.create_task(self._download(one))
        self._tasks[one.id] = task
        task.add_done_callback(
            lambda done: self._tasks.pop(one.id, None) if self._tasks.get(one.id) is done else None
        )

    async def _download(self, one: Download) -> None:
        try:
            async with self._turns:
                one.state = "running"
                with folders.opened_folder(self._home, one.folder) as opened:
                    transfer = Transfer(one, opened, self._client_of(one.catalogue), self._quota, self._pause)
                    await transfer.run()
            one.state, one.error = "done", None
        except CatalogueError as error:
            one.state, one.error = "failed", error.to_dict()
            if 400 <= (error.upstream_status or 0) < 500:
                self._tidy(one)
        except OSError as error:
            one.state, one.error = "failed", space_error(one.name, error).to_dict()
        except asyncio.CancelledError:
            if one.state == "running":
                one.state = "waiting"
            raise
        except Exception:  # noqa: BLE001 - else it would be shown as running until the server ends
            _LOG.exception("cubehub_catalogue: the download of %s ended", one.name)
            message = f"{one.name} could not be downloaded."
            one.state = "failed"
            one.error = UpstreamError(
                "bad_answer", message, "Try again; the server's log has the cause."
            ).to_dict()
        finally:
            self._write_list()

    async def _stop(self, id_: str) -> None:
        task = self._tasks.pop(id_, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _tidy(self, one: Download) -> None:
        """Leave nothing of what was refused before anything of it came; going on with it begins anew."""
        with (
            contextlib.suppress(CatalogueError, OSError),
            folders.opened_folder(self._home, one.folder) as opened,
        ):
            part = folders.open_part(opened, folders.part_of(one.name), new=False)
            try:
                empty = os.fstat(part).st_size == 0
            finally:
                os.close(part)
            if empty:
                self._remove_part(opened, one)

    def _remove_part(self, opened: int, one: Download) -> None:
        if folders.read_note(opened, folders.note_of(one.name)).get("download") == one.id:
            folders.remove(opened, folders.part_of(one.name))
            folders.remove(opened, folders.note_of(one.name))

    # the list

    def _known(self, id_: str) -> Download:
        found = self._all.get(id_)
        if found is None:
            raise UnknownError("no_download", "There is no such download.", "Load the page anew.")
        return found

    def _trim(self) -> None:
        """Forget the oldest of those that are over."""
        ranks = {"done": 0, "cancelled": 0, "failed": 1}  # one that failed can be gone on with: these go last
        over = [one.id for one in self._all.values() if one.state in ranks]
        over.sort(key=lambda id_: ranks[self._all[id_].state])
        for id_ in over[: max(0, len(self._all) - _MOST)]:
            del self._all[id_]

    def _write_list(self) -> None:
        """Note all of them; without room for that, they are still known until the server ends."""
        with contextlib.suppress(OSError, CatalogueError):
            self._kept.mkdir(parents=True, exist_ok=True, mode=0o700)
            with folders.opened_folder(self._kept, ()) as opened:
                folders.write_note(opened, _LIST, {"downloads": [asdict(one) for one in self._all.values()]})

    def _read_list(self) -> list[Download]:
        try:
            with folders.opened_folder(self._kept, ()) as opened:
                content = folders.read_note(opened, _LIST, most=8 * 2**20)
        except (OSError, CatalogueError):
            return []
        entries = content.get("downloads")
        made = [_read(entry) for entry in entries] if isinstance(entries, list) else []
        return [one for one in made if one is not None][-_MOST:]


def _read(entry: Any) -> Download | None:
    """Read one of the list; what ran when the server ended can be gone on with."""
    try:
        one: Download = Download(**{**entry, "folder": tuple(entry["folder"])})
        one.told()
        usable = folder_parts("/".join(one.folder)) == one.folder and safe_name(one.name) == one.name
    except (TypeError, KeyError, AttributeError):
        return None
    if not usable or not all(isinstance(text, str) for text in (one.id, one.catalogue, one.href)):
        return None
    if one.state in ("waiting", "running"):
        one.state = "failed"
        one.error = InputError("interrupted", "The server was stopped meanwhile.", "Press Resume.").to_dict()
    return one


def _asset(item: Item, key: str) -> tuple[dict[str, Any], str]:
    """Find an asset that can be downloaded, and its address."""
    assets = item.get("assets")
    asset = assets.get(key) if isinstance(assets, dict) else None
    if not isinstance(asset, dict):
        raise UnknownError("no_asset", f"The item has no asset {key[:100]!r}.", "Load the item anew.")
    found = [absolute(item, href) for href in hrefs(asset)]
    shown = [href for href in found if not elsewhere(href)]
    if not shown:
        scheme = found[0].partition(":")[0][:20] if found else "no address"
        raise InputError(
            "asset_elsewhere",
            f"{key!r} lies at {scheme}:, which can't be downloaded here.",
            "Insert code for it: libraries in a notebook read such addresses.",
        )
    if "zarr" in str(asset.get("type", "")).lower() or shown[0].rstrip("/").lower().endswith(".zarr"):
        raise InputError(
            "asset_folder",
            f"{key!r} is a Zarr, which is a folder of many files.",
            "Insert code for it and read the part you need.",
        )
    return asset, shown[0]
