"""Build a cube from scenes, step by step: what was done is there and stays, whatever ends the build."""

import fcntl
import json
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xcube_cubehub import __version__
from xcube_cubehub.build import STAMP
from xcube_cubehub.errors import BadInputError, CubeError
from xcube_cubehub.exchange import put_in_place
from xcube_cubehub.index import FORMAT, INDEX, PYRAMID, SERIES_STEPS, Index, Style, Variable, read_index
from xcube_cubehub.item import stac_item
from xcube_cubehub.origin import PROVENANCE, REPORT, Origin
from xcube_cubehub.shards import flush, write_whole
from xcube_cubehub.steps import MadeStep, Plan, PlannedStep, ReportLine, SceneRecipe, VariableSpec
from xcube_cubehub.writer import CubeWriter, levels_for

INT16_FILL = -32768
AHEAD = 2
"""Steps that are made ahead for each process, so that none waits while another is written."""
Progress = Callable[[str, int, int], None]
"""Told what is being done, the steps done and the steps in all."""


@dataclass(frozen=True)
class Described:
    """What the catalogue tells of the cube."""

    name: str
    title: str
    description: str
    license: str
    attribution: str
    synthetic: bool = False


@dataclass
class Grown:
    """What a build did.

    Attributes
    ----------
    added, replaced, unchanged, empty : int
        Steps that are new, were made anew because their scenes changed, were as they should be, or have no value.
    report : list of ReportLine
        What became of each scene.
    address : str
        Where it lies in a bucket; empty if in none.
    """

    path: Path
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    empty: int = 0
    report: list[ReportLine] = field(default_factory=list)
    address: str = ""


def seconds_of(step: PlannedStep | MadeStep) -> int:
    """A step's label in seconds since 1970."""
    return int(step.time.astype("datetime64[s]").astype(np.int64))


def variable_of(spec: VariableSpec) -> Variable:
    """How a variable is stored."""
    style = None if spec.value_range is None else Style(spec.colours, *spec.value_range, spec.scale)
    aggregation = "log-mean" if spec.agg == "mean" and spec.log_space else spec.agg
    if spec.dtype == "int16":
        return Variable("int16", INT16_FILL, spec.scale_factor or 1.0, 0.0, aggregation, style)
    return Variable("float32", aggregation=aggregation, style=style)


def index_of(plan: Plan) -> Index:
    """How a plan's cube is stored, before it has any time."""
    grid = plan.grid
    geographic = grid.crs.upper() == "EPSG:4326"
    return Index(
        grid.crs, grid.west, grid.north, grid.resolution, -grid.resolution, grid.shape, levels_for(grid.shape),
        ("lat", "lon") if geographic else ("y", "x"), {v.name: variable_of(v) for v in plan.variables},
    )  # fmt: skip


def attributes_of(about: Described, plan: Plan) -> dict[str, Any]:
    """Global attributes: CF, attribution, licence, how it came to be."""
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    return {
        "Conventions": "CF-1.11",
        "title": about.title,
        "summary": about.description,
        "attribution": about.attribution,
        "license": about.license,
        "source": "satellite observation",
        "history": f"{now} cubehub-cubes {__version__}, recipe {about.name}",
        "crs": plan.grid.crs,
    }


def variable_attributes(plan: Plan) -> dict[str, dict[str, Any]]:
    """CF attributes by variable."""
    return {
        v.name: {
            "long_name": v.long_name,
            "units": v.units,
            **({"standard_name": v.standard_name} if v.standard_name else {}),
        }
        for v in plan.variables
    }


@contextmanager
def only_builder_of(cube: Path) -> Iterator[None]:
    """Hold one cube for one builder.

    Raises
    ------
    BadInputError
        Another one has it, or the folder cannot be written.
    """
    try:
        cube.parent.mkdir(parents=True, exist_ok=True)
        lock = (cube.parent / f".lock-{cube.name}").open("w")
    except OSError as error:
        message = f"cannot write to {cube.parent}: {error.strerror}"
        raise BadInputError(message, "choose another folder with --output") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"another build is writing {cube.name}"
            raise BadInputError(message, "wait until it has ended") from error
        yield


def read_provenance(cube: Path) -> dict[int, dict[str, Any]]:
    """What is noted of each time, the last note of each; a line that was cut off by a crash counts as none."""
    found: dict[int, dict[str, Any]] = {}
    try:
        lines = (cube / PROVENANCE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            note = json.loads(line)
            found[int(note["time"])] = note
        except (ValueError, KeyError, TypeError):
            continue
    return found


def add_note(cube: Path, note: Mapping[str, Any]) -> None:
    """Note what a time was made of, and by what."""
    with (cube / PROVENANCE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(note) + "\n")


def grow(
    recipe: SceneRecipe,
    plan: Plan,
    cube: Path,
    executor: Executor,
    progress: Progress,
    *,
    ahead: int = AHEAD,
    origin: Origin | None = None,
) -> Grown:
    """Bring a cube up to a plan: add steps that are new, make those anew whose scenes changed, leave the others.

    Parameters
    ----------
    recipe : SceneRecipe
        Makes the steps.
    plan : Plan
        What there is to be.
    cube : path
        Its folder; hold `only_builder_of` meanwhile.
    executor : Executor
        Where steps are made: processes, threads, or Dask's (`distributed.Client.get_executor`).
    progress : callable
        Told about each step.
    ahead : int
        How many steps may be made before they are written.
    origin : Origin, optional
        The bucket that is the cube's home, begun already; each step goes there when it is whole here.

    Raises
    ------
    BadInputError
        The folder holds a cube of another grid or with other variables.
    CubeError
        A process that made steps has ended; what was written stays, and the same build goes on from there.

    Notes
    -----
    Each step is visible to readers when it is whole (`xcube_cubehub.writer`), and noted after that: a build that is
    killed in between makes that one step once more. A cube that has no stamp yet is not published.
    """
    about = Described(recipe.name, recipe.title, recipe.description, recipe.license, recipe.attribution)
    attributes, variables = attributes_of(about, plan), variable_attributes(plan)
    writer = _writer(cube, plan, attributes, variables)
    notes = read_provenance(cube)
    there = set(writer.index.times)
    grown = Grown(cube, report=list(plan.report))
    todo = _todo(plan, notes, there)
    grown.unchanged = len(plan.steps) - len(todo)
    last = writer.index.times[-1] if writer.index.times else None
    late = any(
        last is not None and seconds_of(step) < last and seconds_of(step) not in there for step in todo
    )
    if origin is not None and todo:
        replaces = any(seconds_of(step) in there for step in todo)
        origin.need(None if late else 0 if replaces else needed_from(writer.index))
    anew = _Anew(writer, plan, attributes, variables) if late else None
    try:
        for done, (step, made) in enumerate(_made(recipe, plan, todo, executor, ahead)):
            progress("steps", done, len(todo))
            if anew is not None:
                anew.adopt_before(seconds_of(step))
            written = _write(writer if anew is None else anew.writer, step, made, grown, there)
            if origin is not None and anew is None and written:
                origin.step(writer.index, seconds_of(step))
            progress("steps", done + 1, len(todo))
    except BrokenExecutor as error:
        message = "a process that makes steps has ended, for want of memory perhaps"
        raise CubeError(
            message, "run the same build again: it goes on where it was; with fewer --workers"
        ) from error
    if anew is not None:
        anew.adopt_before(None)
        writer = anew.writer
    if todo or writer.index.series_steps != len(writer.index.times) or not (cube / STAMP).exists():
        writer.finish(lambda done, total: progress("series", done, total))
        _finish(writer, cube.name, about, plan, grown)
    if anew is not None:
        anew.swap()
    if origin is not None:
        progress("bucket", 0, 1)
        origin.finished(anew=anew is not None)
        progress("bucket", 1, 1)
    return grown


def needed_from(index: Index) -> int:
    """First step whose maps the end of a build reads, where steps are only added."""
    return min(index.series_steps // SERIES_STEPS * SERIES_STEPS, len(index.counts))


def _todo(plan: Plan, notes: Mapping[int, Mapping[str, Any]], there: AbstractSet[int]) -> list[PlannedStep]:
    """Steps that are not there, or were made of other scenes."""
    todo = []
    for step in plan.steps:
        note, seconds = notes.get(seconds_of(step)), seconds_of(step)
        same = note is not None and note["fingerprint"] == step.fingerprint
        if not (same and (seconds in there or (note is not None and note.get("empty")))):
            todo.append(step)
    return todo


class _Anew:
    """A cube into whose past steps are put: written beside the old one, of which it takes over the files, by hard links.

    A time axis ascends, and its steps are numbered: to put one in front of others these would all have to be renamed,
    and a reader in between would find values at wrong times.
    """

    def __init__(
        self,
        old: CubeWriter,
        plan: Plan,
        attributes: Mapping[str, Any],
        variables: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._old = old
        self.folder = old.cube.with_name(f".building-{old.cube.name}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.writer = CubeWriter(self.folder, index_of(plan), attributes, variables, durable=False)
        self.writer.create()
        notes = read_provenance(old.cube)
        for note in notes.values():
            add_note(self.folder, note)

    def adopt_before(self, seconds: int | None) -> None:
        """Take over all old steps before a time that are not there yet; None for all that are left."""
        have = self.writer.index.times
        after = have[-1] if have else None
        self.writer.adopt(
            self._old,
            [
                t for t in self._old.index.times
                if (after is None or t > after) and (seconds is None or t < seconds)
            ],
        )  # fmt: skip

    def swap(self) -> None:
        """Put it in the old one's place."""
        flush(self.folder)
        put_in_place(self.folder, self._old.cube)


def _writer(
    cube: Path, plan: Plan, attributes: Mapping[str, Any], variables: Mapping[str, Mapping[str, Any]]
) -> CubeWriter:
    wanted = index_of(plan)
    if not (cube / INDEX).exists():
        if cube.exists() and any(cube.iterdir()):
            shutil.rmtree(cube)  # begun, and stopped before it had an index
        cube.mkdir(exist_ok=True)
        writer = CubeWriter(cube, wanted, attributes, variables)
        writer.create()
        return writer
    index = read_index(cube)
    same = ("crs", "west", "north", "dx", "dy", "shape", "variables")
    differs = [name for name in same if getattr(index, name) != getattr(wanted, name)]
    if differs:
        message = f"{cube} holds a cube of another grid or with other variables ({', '.join(differs)})"
        raise BadInputError(
            message, "give the new one another name with --name, or take the old one away first"
        )
    writer = CubeWriter(cube, index, attributes, variables)
    if not (cube / PYRAMID / "zarr.json").exists():
        writer.restore()  # the copy of a cube in a bucket, just begun
    return writer


def _made(
    recipe: SceneRecipe, plan: Plan, todo: Sequence[PlannedStep], executor: Executor, ahead: int
) -> Iterator[tuple[PlannedStep, MadeStep]]:
    """Steps in their order, some of them being made ahead."""
    running: deque[tuple[PlannedStep, Future[MadeStep]]] = deque()
    left = iter(todo)
    try:
        for step in islice(left, max(ahead, 1)):
            running.append((step, executor.submit(recipe.make, plan, step)))
        while running:
            step, future = running.popleft()
            made = future.result()
            for following in islice(left, 1):
                running.append((following, executor.submit(recipe.make, plan, following)))
            yield step, made
    finally:
        for _, future in running:
            future.cancel()


def _write(
    writer: CubeWriter, step: PlannedStep, made: MadeStep, grown: Grown, there: AbstractSet[int]
) -> bool:
    """Write a step and note it; whether it has a value anywhere, or had one."""
    seconds = seconds_of(step)
    grown.report += made.report
    note = {
        "time": seconds,
        "fingerprint": step.fingerprint,
        "sources": [
            {"id": s.id, "version": s.version, "platform": s.platform, "sensing": str(s.sensing)}
            for s in made.sources
        ],
        "software": f"cubehub-cubes {__version__}",
    }
    if not any(np.isfinite(values).any() for values in made.values.values()) and seconds not in there:
        grown.empty += 1
        add_note(writer.cube, {**note, "empty": True})
        return False
    if seconds in writer.index.times:
        writer.replace(seconds, made.values)
    else:
        writer.append(seconds, made.values)
    grown.replaced += seconds in there
    grown.added += seconds not in there
    add_note(writer.cube, note)
    return True


def _finish(writer: CubeWriter, name: str, about: Described, plan: Plan, grown: Grown) -> None:
    """Write what others read beside the arrays: report, catalogue item, and last the stamp by which it is published."""
    cube, index = writer.cube, writer.index
    lines = [asdict(line) for line in grown.report]
    write_whole(cube / REPORT, json.dumps(lines, indent=1).encode())
    stamp = {"recipe": about.name, "format": FORMAT, "title": about.title, "revision": index.version}
    if index.times:
        rows, columns = index.shape
        bounds = (index.west, index.north + rows * index.dy, index.west + columns * index.dx, index.north)
        with xr.open_zarr(cube / PYRAMID / "0.zarr", chunks=None) as dataset:
            item = stac_item(replace(about, name=name), dataset, bounds, plan.grid.crs, index)
        write_whole(cube.parent / f"{name}.item.json", json.dumps(item, indent=1).encode(), durable=True)
        write_whole(cube / STAMP, json.dumps(stamp).encode(), durable=True)
