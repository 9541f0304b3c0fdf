"""``cubehub-cubes build RECIPE --source … --area … --time …``: a cube from scenes, on the command line."""

import argparse
import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xcube_cubehub.config import ID
from xcube_cubehub.errors import BadInputError
from xcube_cubehub.growing import Grown, grow, only_builder_of
from xcube_cubehub.index import INDEX
from xcube_cubehub.making import FileRecipe, load_recipe
from xcube_cubehub.origin import Origin
from xcube_cubehub.processes import die_with_parent
from xcube_cubehub.sources import open_source
from xcube_cubehub.steps import Area, ReportLine, TimeRange

SHOWN_LINES = 20
"""Of the report; the whole of it is in the cube's folder."""


def add_arguments(make: argparse.ArgumentParser) -> None:
    """Add what a build from scenes takes."""
    scenes = make.add_argument_group(
        "from scenes", "for a recipe that reads scenes: one of those shipped, or a file in YAML"
    )
    scenes.add_argument(
        "--area", metavar="W,S,E,N", help="in degrees; west above east crosses the antimeridian"
    )
    scenes.add_argument(
        "--time", metavar="FROM/UNTIL", help="days, such as 2024-06-01/2024-09-01; the end is not in it"
    )
    scenes.add_argument("--name", help="of the cube; default: that of the recipe")
    scenes.add_argument("--grid", metavar="CRS@STEP", help="such as EPSG:32633@20; default: the recipe's")
    scenes.add_argument(
        "--allow-bucket", metavar="NAME", action="append", default=[], dest="buckets",
        help="that items of a catalogue on the web may name (s3://NAME/…); AWS_… in the environment says how to reach it",
    )  # fmt: skip
    scenes.add_argument("--workers", type=int, help="processes that make steps; default: one for each core")
    scenes.add_argument("--dask", metavar="ADDRESS", help="of a Dask scheduler that makes them instead")


def is_wanted(args: argparse.Namespace) -> bool:
    """Whether the arguments are for a build from scenes."""
    return bool(args.area or args.time or any(n.endswith((".yaml", ".yml")) for n in args.names))


def area_of(text: str | None) -> Area:
    """The area that a person wrote.

    Raises
    ------
    BadInputError
        It is none.
    """
    hint = "give --area west,south,east,north in degrees, such as 5,53,9,56"
    if text is None:
        message = "a cube from scenes needs an area"
        raise BadInputError(message, hint)
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        message = f"{text!r} is not an area"
        raise BadInputError(message, hint) from error
    return Area(west, south, east, north)


def time_of(text: str | None) -> TimeRange:
    """The range of time that a person wrote: ``FROM/UNTIL``, either of which may be left out.

    Raises
    ------
    BadInputError
        It is none.
    """
    hint = "give --time FROM/UNTIL, such as 2024-06-01/2024-09-01"
    try:
        start, end = (
            np.datetime64(part.strip(), "s") if part.strip() else None for part in (text or "/").split("/")
        )
    except ValueError as error:
        message = f"{text!r} is not a range of time"
        raise BadInputError(message, hint) from error
    if start is not None and end is not None and end <= start:
        message = f"{text!r} ends before it begins"
        raise BadInputError(message, hint)
    return TimeRange(start, end)


def on_grid(recipe: FileRecipe, text: str | None) -> FileRecipe:
    """The recipe on the grid that a person wrote.

    Raises
    ------
    BadInputError
        It is none.
    """
    if text is None:
        return recipe
    crs, _, step = text.rpartition("@")
    try:
        return recipe.with_grid(crs, float(step))
    except ValueError as error:
        message = f"{text!r} is not a grid"
        raise BadInputError(message, "give --grid CRS@STEP, such as EPSG:32633@20") from error


@contextlib.contextmanager
def where(args: argparse.Namespace) -> Iterator[tuple[Executor, int]]:
    """Where steps are made, and how many at once."""
    if args.dask:
        import distributed  # noqa: PLC0415

        connect: Any = distributed.Client

        try:
            client = connect(args.dask, timeout="20s")
        except (OSError, ValueError) as error:
            message = f"no Dask scheduler answers at {args.dask}"
            raise BadInputError(message, "look at its address, or leave --dask out") from error
        with client:
            yield client.get_executor(), 2 * max(1, sum(client.nthreads().values()))
        return
    workers = args.workers or len(os.sched_getaffinity(0))
    # Not forked: the libraries that read scenes have threads, which a fork does not take along
    spawned = get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=spawned, initializer=die_with_parent, initargs=(os.getpid(),)
    ) as executor:
        yield executor, 2 * workers


def run(args: argparse.Namespace, out: Console, say: Any) -> int:
    """Build; 0 when done.

    Raises
    ------
    CubeError
        It could not be.
    """
    if len(args.names) != 1:
        message = "a build from scenes takes one recipe"
        raise BadInputError(message, "give its name or its file in YAML")
    if args.source is None:
        message = "a cube from scenes needs a source"
        raise BadInputError(
            message, "give --source with a folder, a STAC catalogue or the address of a STAC API"
        )
    recipe = on_grid(load_recipe(args.names[0]), args.grid)
    area, span = area_of(args.area), time_of(args.time)
    now = np.datetime64(datetime.now(UTC).replace(tzinfo=None), "s")
    name = cube_name(args.name or recipe.name)
    cube = args.output / name
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=out, disable=args.json or not out.is_terminal,
    )  # fmt: skip
    origin = None if args.bucket is None else Origin(args.bucket, cube)
    with only_builder_of(cube), bar:
        if origin is not None:
            origin.begin()
        task = bar.add_task(f"{name}: looking for scenes", total=None)
        source = open_source(str(args.source), buckets=args.buckets)
        plan = recipe.plan(source, area, span, now)
        is_new = not (cube / INDEX).exists()
        if is_new and not plan.steps:
            tell_scenes(plan.report, args, out, say)
            message = f"{name} was not built: {source.title} has no scene in this area and time that the recipe can use"
            raise BadInputError(
                message, "look at --area, --time and --source; the scenes that were found are told above"
            )

        def progress(what: str, done: int, total: int) -> None:
            if args.json:
                say({"event": "progress", "cube": name, "step": what, "done": done, "total": total})
            bar.update(task, description=f"{name}: {what}", completed=done, total=max(total, 1))

        with where(args) as (executor, ahead):
            grown = grow(recipe, plan, cube, executor, progress, ahead=ahead, origin=origin)
    if origin is not None:
        grown.address = origin.address
    tell(grown, name, args, out, say)
    if is_new and not args.json:
        out.print(f"It is shown once cubes.yaml lists it, with the id {name}.", highlight=False)
    return 0


def cube_name(text: str) -> str:
    """The name of a cube: of its folder, and its id in ``cubes.yaml``.

    Raises
    ------
    BadInputError
        It cannot be one.
    """
    if not re.fullmatch(ID, text, re.ASCII):
        message = f"{text[:80]!r} cannot be the name of a cube"
        raise BadInputError(
            message, "take --name with up to 63 small letters, digits and -, such as north-sea"
        )
    return text


def tell(grown: Grown, name: str, args: argparse.Namespace, out: Console, say: Any) -> None:
    """Say what was done, and what became of the scenes."""
    counts = {
        "added": grown.added,
        "replaced": grown.replaced,
        "unchanged": grown.unchanged,
        "empty": grown.empty,
    }
    if args.json:
        say(
            {
                "event": "built",
                "cube": name,
                "path": grown.address or str(grown.path),
                **counts,
                "report": [asdict(line) for line in grown.report],
            }
        )
        return
    if grown.address:
        out.print(f"{name} lies at {grown.address}", highlight=False)
    steps = ", ".join(f"{count} {what}" for what, count in counts.items())
    out.print(f"{name}: steps in time: {steps}", highlight=False)
    tell_scenes(grown.report, args, out, say, where=str(grown.address or grown.path))


def tell_scenes(
    report: Sequence[ReportLine], args: argparse.Namespace, out: Console, say: Any, where: str = ""
) -> None:
    """Say what became of the scenes, and of those that were not used why."""
    if args.json:
        say({"event": "scenes", "report": [asdict(line) for line in report]})
        return
    outcomes = Counter(line.outcome for line in report)
    skipped = [line for line in report if line.outcome != "used"]
    out.print(
        f"scenes: {', '.join(f'{n} {what}' for what, n in outcomes.items()) or 'none'}", highlight=False
    )
    for line in skipped[:SHOWN_LINES]:
        out.print(f"  {line.outcome} {line.scene}: {line.reason}", highlight=False, markup=False)
    if len(skipped) > SHOWN_LINES:
        more = f", in {where}/report.json" if where else ""
        out.print(f"  and {len(skipped) - SHOWN_LINES} more{more}", highlight=False)
