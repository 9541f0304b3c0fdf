"""What the landing page and other sites show of a cube: its card, and the picture on it."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from xcube_cubehub import quicklook
from xcube_cubehub.access import Access
from xcube_cubehub.errors import CubeError, NotThereError
from xcube_cubehub.fast import tiles
from xcube_cubehub.fast.asked import seconds_of
from xcube_cubehub.fast.colours import Palettes
from xcube_cubehub.fast.published import Published, Shown
from xcube_cubehub.index import INDEX, Index, Style, level_array, read_index

MAX_METADATA_BYTES = 256 * 1024
PICTURES = 128
"""Pictures that are kept, some 30 KB each."""
_OPEN_CUBES = 16


@dataclass(frozen=True)
class Picture:
    """Which picture is meant: of a variable at a time, in a style."""

    cube: str
    variable: str
    step: int
    style: Style
    etag: str
    index: Index


@dataclass
class Showing:
    """Cubes as they are shown; told anew whenever cubes are published.

    Attributes
    ----------
    front : Published
        Folder, rule and styles by cube.
    entries : list of dict
        xcube's entries of the cubes, in the order in which they are listed.
    sites : tuple of str
        Origins of the sites that may embed public cubes; ``*`` for all.
    palettes : path
        Colours of all colour maps.
    """

    front: Published = field(default_factory=lambda: Published({}))
    entries: list[Mapping[str, Any]] = field(default_factory=list)
    sites: tuple[str, ...] = ()
    palettes: Path = Path()
    _pictures: "OrderedDict[str, bytes]" = field(default_factory=OrderedDict)
    _open: "OrderedDict[str, tuple[str, tiles.Cube]]" = field(default_factory=OrderedDict)
    _colours: tuple[int, Palettes] | None = None

    def tell(
        self, front: Published, config: Mapping[str, Any], sites: tuple[str, ...], palettes: Path
    ) -> None:
        """Take what is published now."""
        self.entries = [entry for entry in config["Datasets"] if entry["Identifier"] in front.cubes]
        self.front, self.sites, self.palettes = front, sites, palettes

    def cards(self, allowed: Callable[[str], bool]) -> list[dict[str, Any]]:
        """Cards of the cubes that somebody may see, in the viewer's order.

        Notes
        -----
        A cube that cannot be read has none, and does not keep the others from being shown.
        """
        made = []
        for entry in self.entries:
            name = entry["Identifier"]
            if not allowed(name):
                continue
            try:
                made.append(self._card(entry, self.front.cubes[name]))
            except CubeError:
                continue
        return made

    def entry(self, cube: str) -> Mapping[str, Any]:
        """Xcube's entry of a cube."""
        return next(entry for entry in self.entries if entry["Identifier"] == cube)

    def _card(self, entry: Mapping[str, Any], shown: Shown) -> dict[str, Any]:
        name, index = entry["Identifier"], read_index(shown.folder)
        variables = [describe(shown.folder, v) for v in shown.styles if v in index.variables]
        public = shown.rule.access is Access.PUBLIC
        card: dict[str, Any] = {
            "id": name,
            "title": entry["Title"],
            "group": entry.get("GroupTitle", ""),
            "description": entry.get("Description", ""),
            "attribution": entry.get("Attribution", ""),
            "public": public,
            "variables": variables,
            "dates": len(index.times),
            "viewer": "viewer/?" + urlencode({"dataset": name}),
            "embed": f"embed/{name}" if public and self.sites else None,
        }
        if index.times and variables:
            step = quicklook.best_step(index)
            card["first"], card["last"] = day_of(index.times[0]), day_of(index.times[-1])
            card["picture"] = f"quicklook/{name}.png?" + urlencode({"v": index.version})
            card["alt"] = f"Map of {variables[0]['title']} on {day_of(index.times[step])}"
        return card

    def picture(self, cube: str, variable: str | None, time: str | None) -> Picture:
        """Which picture a request means; the default variable, and a time that shows much, where it does not say.

        Raises
        ------
        NotThereError
            The cube has no such variable, no times, or the time is none.
        """
        shown = self.front.cubes[cube]
        index = read_index(shown.folder)
        names = [name for name in shown.styles if name in index.variables]
        if variable is None and names:
            variable = names[0]
        if variable not in names:
            raise NotThereError("this cube has no such variable", f"it has {', '.join(names) or 'none yet'}")
        step = quicklook.best_step(index)
        if time is not None:
            seconds = seconds_of(time)
            if seconds is None:
                raise NotThereError("the time is not a date such as 2024-07-02", "write YYYY-MM-DD")
            step = quicklook.nearest_step(index, round(seconds))
        style = shown.styles[variable]
        if not quicklook.style_fits(style):
            raise NotThereError("this variable has no picture", "its range does not fit a log scale")
        key = f"{cube} {index.version} {variable} {step} {style}".encode()
        etag = hashlib.blake2b(key, digest_size=12).hexdigest()
        return Picture(cube, variable, step, style, etag, index)

    def draw(self, picture: Picture) -> bytes:
        """The PNG of a picture. Only one thread may call this at a time: what the fast path keeps is not locked.

        Raises
        ------
        CubeError
            The cube cannot be read.
        """
        made = self._pictures.get(picture.etag)
        if made is None:
            palette = self._palettes().get(picture.style.colours)
            if palette is None:
                raise NotThereError(
                    "this variable has no picture", "its colour map is not one of 256 colours"
                )
            cube = self._opened(picture)
            made = quicklook.render(cube, picture.variable, picture.step, picture.style, palette)
            self._pictures[picture.etag] = made
        self._pictures.move_to_end(picture.etag)
        while len(self._pictures) > PICTURES:
            self._pictures.popitem(last=False)
        return made

    def _palettes(self) -> Palettes:
        stamp = self.palettes.stat().st_mtime_ns
        if self._colours is None or self._colours[0] != stamp:
            self._colours = stamp, Palettes(self.palettes)
        return self._colours[1]

    def _opened(self, picture: Picture) -> tiles.Cube:
        version, cube = self._open.get(picture.cube, ("", None))
        if cube is None or version != picture.index.version:
            if cube is not None:
                cube.packs.close()
            cube = tiles.Cube(self.front.cubes[picture.cube].folder, picture.index)
            self._open[picture.cube] = picture.index.version, cube
            while len(self._open) > _OPEN_CUBES:
                self._open.popitem(last=False)[1][1].packs.close()
        return cube

    def stamp(self) -> str:
        """Changes when a card may have changed."""
        stamps = [str(self.sites)]
        for name, shown in self.front.cubes.items():
            try:
                stamps.append(f"{name} {(shown.folder / INDEX).stat().st_mtime_ns}")
            except OSError:
                stamps.append(f"{name} -")
        return " ".join(stamps)


def day_of(seconds: int) -> str:
    """The day of a time, UTC: ``2024-07-02``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def describe(folder: Path, variable: str) -> dict[str, str]:
    """Name, long name and unit of a variable as its metadata say; the name where they say nothing."""
    attributes: Any = {}
    try:
        with (level_array(folder, 0, variable) / "zarr.json").open("rb") as file:
            attributes = json.loads(file.read(MAX_METADATA_BYTES)).get("attributes", {})
    except (OSError, ValueError, AttributeError):
        attributes = {}
    told = attributes if isinstance(attributes, dict) else {}
    return {
        "name": variable,
        "title": str(told.get("long_name") or told.get("title") or variable),
        "units": str(told.get("units") or ""),
    }
