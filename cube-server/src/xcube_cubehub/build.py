"""Build cubes: each appears whole or not at all, and only when something changed."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from xcube_cubehub import __version__
from xcube_cubehub.errors import BadInputError, CubeError
from xcube_cubehub.exchange import put_in_place
from xcube_cubehub.index import FORMAT, read_index
from xcube_cubehub.item import stac_item
from xcube_cubehub.pyramid import cube_grid, write_cube
from xcube_cubehub.recipes.model import Made, Recipe

STAMP = "build.json"
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one cube: ``built`` or ``unchanged``, and where it lies."""

    name: str
    outcome: str
    path: Path
    bytes: int


def fingerprint(recipe: Recipe, source: Path | None) -> str:
    """A digest that changes with the recipe's version or any byte of its input."""
    digest = hashlib.sha256(f"{FORMAT} {recipe.name} {recipe.version}".encode())
    if source is not None:
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            digest.update(str(path.relative_to(source)).encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def stamp_of(cube: Path) -> dict[str, object]:
    """What was noted when the cube was built; empty for a folder that is no finished cube."""
    try:
        stamp = json.loads((cube / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def near_empty_of(cube: Path) -> frozenset[int]:
    """Positions of the times that show next to nothing, as its index has them."""
    try:
        return frozenset(read_index(cube).hidden)
    except CubeError:
        return frozenset()


def place_of(cube: Path) -> str:
    """Address below which its arrays lie; empty if they lie here, or nothing is known of it."""
    try:
        return read_index(cube).place
    except CubeError:
        return ""


def is_current(recipe: Recipe, cube: Path) -> bool:
    """Whether a cube was built by this version of its recipe and is written as today, whatever its source was."""
    stamp = stamp_of(cube)
    return stamp.get("format") == FORMAT and stamp.get("version") == recipe.version


def size_of(folder: Path) -> int:
    """Bytes in all files below ``folder``."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


@contextmanager
def only_builder(output: Path) -> Iterator[None]:
    """Hold the output folder for one builder; clear what an interrupted one left.

    Raises
    ------
    BadInputError
        Another builder is at work there, or the folder cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = (output / ".lock").open("w")
    except OSError as error:
        message = f"cannot write to {output}: {error.strerror}"
        raise BadInputError(message, "choose another folder with --output") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"another build is writing to {output}"
            raise BadInputError(message, "wait until it has ended") from error
        for left in output.glob(".building-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def describe(made: Made, recipe: Recipe, digest: str) -> None:
    """Set the global attributes: CF, attribution, licence, provenance."""
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    made.dataset.attrs.clear()
    made.dataset.attrs.update(
        Conventions="CF-1.10",
        title=recipe.title,
        summary=recipe.description,
        attribution=recipe.attribution,
        license=recipe.license,
        history=f"{now} cubehub-cubes {__version__}, recipe {recipe.name} version {recipe.version}",
        source="made up by a random model" if recipe.synthetic else "satellite observation",
        input_sha256=digest,
        crs=made.crs,
    )
    times = made.dataset["time"].values.astype("datetime64[s]")
    made.dataset["time"] = ("time", times.astype("datetime64[ns]"), {"standard_name": "time", "axis": "T"})
    for name, standard, unit in (("lat", "latitude", "degrees_north"), ("lon", "longitude", "degrees_east")):
        if name in made.dataset.coords:
            made.dataset[name].attrs.update(standard_name=standard, units=unit)
    made.dataset.attrs["time_coverage_start"] = f"{np.min(times)}Z"
    made.dataset.attrs["time_coverage_end"] = f"{np.max(times)}Z"


def build(
    recipe: Recipe, source: Path | None, output: Path, report: Report, *, only_missing: bool = False
) -> Outcome:
    """Build one cube into ``output/NAME`` unless it is already what it would become.

    Parameters
    ----------
    recipe : Recipe
        What to build.
    source : Path or None
        Folder laid out as the sample data or the full data.
    output : Path
        Folder of the published cubes; hold `only_builder` meanwhile.
    report : callable
        Called with step, done and total.
    only_missing : bool
        Leave alone a cube that was built from another source.

    Raises
    ------
    SourceMissingError
        The source lacks the recipe's input.
    CubeError
        The cube could not be made or written; what was there before stays.
    """
    target, item_path = output / recipe.name, output / f"{recipe.name}.item.json"
    if only_missing and is_current(recipe, target) and item_path.is_file():
        return Outcome(recipe.name, "unchanged", target, size_of(target))
    found = recipe.find_input(source)
    digest = fingerprint(recipe, found)
    if stamp_of(target).get("fingerprint") == digest and item_path.is_file():
        return Outcome(recipe.name, "unchanged", target, size_of(target))
    building = output / f".building-{recipe.name}"
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        report("reading", 0, 1)
        made = recipe.make(found)
        describe(made, recipe, digest)
        write_cube(made, building, report)
        stamp = {
            "fingerprint": digest,
            "recipe": recipe.name,
            "version": recipe.version,
            "format": FORMAT,
            "title": recipe.title,
        }
        (building / STAMP).write_text(json.dumps(stamp), encoding="utf-8")
        bounds, index = cube_grid(made.dataset).bounds, read_index(building)
        item = json.dumps(stac_item(recipe, made.dataset, bounds, made.crs, index), indent=1)
        (building / "item.json").write_text(item, encoding="utf-8")
        swap(building, target, item_path)
    except (OSError, ValueError, KeyError) as error:
        shutil.rmtree(building, ignore_errors=True)
        message = f"{recipe.name} could not be built: {error}"
        raise CubeError(message, f"check that {found or output} is readable and the disk has room") from error
    return Outcome(recipe.name, "built", target, size_of(target))


def swap(building: Path, target: Path, item_path: Path) -> None:
    """Put a finished folder in its place; the old one goes only after the new one is there."""
    (building / "item.json").replace(item_path.with_suffix(".json.new"))
    put_in_place(building, target)
    item_path.with_suffix(".json.new").replace(item_path)
