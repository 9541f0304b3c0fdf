"""A folder with scenes, on a disk or an object store: SAFE folders, swaths, cubes, or a static STAC catalogue."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xcube_cubehub.errors import CubeError, SceneBrokenError
from xcube_cubehub.sources.cubes import CubeSource, Opening, cube_in_netcdf
from xcube_cubehub.sources.files import REMOTE, Entry, Files
from xcube_cubehub.sources.model import Found, SceneHandle, skipped
from xcube_cubehub.sources.sentinel2 import s2_of_folder
from xcube_cubehub.sources.sentinel3 import c2rcc_of_file, wfr_of_folder
from xcube_cubehub.sources.stac import found_in_items, static_items
from xcube_cubehub.steps import Area, TimeRange, digest

Reader = Callable[[Files, Entry], tuple[SceneHandle, ...]]
CATALOGUES = ("catalog.json", "collection.json")
WHOLE = re.compile(r"\.(SEN3|SAFE|zarr|levels)$|^\.", re.IGNORECASE)
"""Folders that are one thing, or hidden: not walked into."""


@dataclass(frozen=True)
class FolderSource:
    """Scenes in a folder.

    Attributes
    ----------
    root : str
        Path or address of the folder, of one scene in it, or of a catalogue file.
    options : dict
        For the file system, as fsspec takes them.
    buckets : frozenset of str
        That items of a catalogue from elsewhere may name.

    Notes
    -----
    A folder with ``catalog.json`` or ``collection.json`` is a static STAC catalogue and read by its links alone.
    """

    root: str
    options: dict[str, Any] = field(default_factory=dict)
    buckets: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """Path or address without credentials."""
        return re.sub("//[^/@]*@", "//", self.root)

    def find(self, area: Area, time: TimeRange) -> Found:
        """All scenes of the folder; the planner selects."""
        root = self.root.rstrip("/")
        if root.lower().endswith((".zarr",)):
            return CubeSource(Opening("zarr", root, self.options)).find(area, time)
        if root.endswith(".json"):
            folder, _, name = root.rpartition("/")
            return self._catalogue(Files(folder or ".", self.options, probe=name), name)
        files = Files(root, self.options)
        names = {entry.name for entry in files.entries(files.root)}
        for name in CATALOGUES:
            if name in names:
                return self._catalogue(files, name)
        own = Entry(files.root, is_folder=not files.fs.isfile(files.root), size=0, mark="")
        if not own.is_folder:
            info = files.fs.info(files.root)
            own = Entry(
                files.root, is_folder=False, size=int(info.get("size") or 0), mark=str(info.get("mtime", ""))
            )
        if WHOLE.search(own.name) or not own.is_folder:
            return self._look(files, own)
        found = Found()
        for entry in files.walk(WHOLE):
            found += self._look(files, entry)
        return found

    def _look(self, files: Files, entry: Entry) -> Found:
        reader = _reader(entry)
        if reader is None:
            return Found()
        try:
            return Found(tuple(_with_options(scene, files) for scene in reader(files, entry)))
        except CubeError as error:
            return Found(report=(skipped(entry.name, error.message),))

    def _catalogue(self, files: Files, name: str) -> Found:
        broken: list[tuple[str, str]] = []
        start = f"{files.root.rstrip('/')}/{name}"
        found = found_in_items(
            static_items(files, start, broken), files.root if files.is_local else None, self.buckets
        )
        scenes = (_with_marks(scene) if files.is_local else scene for scene in found.scenes)
        found = Found(tuple(_with_options(scene, files) for scene in scenes), found.report)
        return found + Found(report=tuple(skipped(path, reason) for path, reason in broken))


def _reader(entry: Entry) -> Reader | None:
    for pattern, is_folder, reader in READERS:
        if is_folder == entry.is_folder and re.search(pattern, entry.name):
            return reader
    return None


def _with_options(scene: SceneHandle, files: Files) -> SceneHandle:
    """A handle that another process can read with the same options of the file system."""
    if not files.options or scene.kind == "cube":
        return scene
    return replace(scene, options={**scene.options, "files": json.dumps(files.options, sort_keys=True)})


def _with_marks(scene: SceneHandle) -> SceneHandle:
    """A handle whose fingerprint knows sizes and times of its files on this disk, and which of them are missing."""
    assets, marks = {}, []
    for name, asset in scene.assets.items():
        problem = asset.problem
        if not REMOTE.match(asset.href):
            try:
                status = Path(asset.href).stat()
                marks.append((name, status.st_size, status.st_mtime_ns))
            except OSError:
                problem = f"{Path(asset.href).name} is missing"
        assets[name] = replace(asset, problem=problem)
    return replace(scene, assets=assets, fingerprint=digest(scene.fingerprint, marks))


def _unknown(_files: Files, _entry: Entry) -> tuple[SceneHandle, ...]:
    raise SceneBrokenError("recipes know no products of this kind")


def _zarr(files: Files, entry: Entry) -> tuple[SceneHandle, ...]:
    source = CubeSource(Opening("zarr", files.address(entry.path), files.options, entry.mark))
    found = source.find(Area(-180, -90, 180, 90), TimeRange())
    if found.report:
        raise SceneBrokenError(found.report[0].reason)
    return found.scenes


def _netcdf(files: Files, entry: Entry) -> tuple[SceneHandle, ...]:
    handle = c2rcc_of_file(files, entry)
    if handle is not None:
        return (handle,)
    if not files.is_local:
        raise SceneBrokenError("cubes in NetCDF are read from local disks only; Zarr is read from anywhere")
    return cube_in_netcdf(files.address(entry.path), f"{entry.size} {entry.mark}", entry.name)


READERS: tuple[tuple[str, bool, Reader], ...] = (
    (r"^S3[A-D]_OL_2_WFR", True, lambda files, folder: (wfr_of_folder(files, folder),)),
    (r"^S2[A-D]_MSIL2A.*\.SAFE$", True, lambda files, folder: (s2_of_folder(files, folder),)),
    (r"\.(SEN3|SAFE)$", True, _unknown),
    (r"\.zarr$", True, _zarr),
    (r"\.nc$", False, _netcdf),
)
"""By name, what reads an entry; the first that fits."""
