"""``cubehub-cubes``: build and list the published cubes."""

import argparse
import hashlib
import json
import logging
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from xcube_cubehub import scenes_cli
from xcube_cubehub.bucket import Bucket, is_address
from xcube_cubehub.build import Outcome, build, only_builder, size_of, stamp_of
from xcube_cubehub.errors import BadInputError, CubeError
from xcube_cubehub.origin import Origin, stamp_key
from xcube_cubehub.recipes import RECIPES, Recipe

_out = Console(soft_wrap=True)
_err = Console(stderr=True, soft_wrap=True, highlight=False)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(
        prog="cubehub-cubes", description="Build the cubes that CubeHub publishes."
    )
    commands = root.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="build cubes; those that are up to date are left alone")
    make.add_argument("names", nargs="*", metavar="NAME", help=f"default: all ({', '.join(RECIPES)})")
    make.add_argument(
        "--output",
        required=True,
        help="folder of the published cubes, or s3://BUCKET/PREFIX with AWS_… in the environment",
    )
    make.add_argument(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="for s3://: local folder for what is being built; default: in ~/.cache",
    )
    make.add_argument(
        "--source",
        "--samples",
        help="folder with the sample crops or the full data; of a build from scenes: where",
    )
    make.add_argument(
        "--only-missing",
        action="store_true",
        help="leave alone what this version built already, from whatever source",
    )
    make.add_argument(
        "--json", action="store_true", help="one JSON object per line instead of a progress bar"
    )
    scenes_cli.add_arguments(make)
    show = commands.add_parser("list", help="list the recipes and what is built")
    show.add_argument("--output", help="folder of the published cubes, or s3://BUCKET/PREFIX")
    show.add_argument("--json", action="store_true", help="JSON instead of a table")
    return root


def chosen(names: Sequence[str]) -> list[Recipe]:
    """The recipes of these names, all if none is given.

    Raises
    ------
    BadInputError
        A name that no recipe has.
    """
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        message = f"no cube is called {unknown[0]!r}"
        raise BadInputError(message, f"one of: {', '.join(RECIPES)}")
    return [RECIPES[name] for name in dict.fromkeys(names)] or list(RECIPES.values())


def _say(event: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def run_build(args: argparse.Namespace) -> int:
    """Build; a cube that fails does not stop the others, and the exit status tells."""
    if scenes_cli.is_wanted(args):
        return scenes_cli.run(args, _out, _say)
    recipes = chosen(args.names)
    args.source = None if args.source is None else Path(args.source)
    if args.source is not None and not args.source.is_dir():
        message = f"{args.source} is not a folder"
        raise BadInputError(message, "give --source the folder with the sample crops or the full data")
    status = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[step]}"),
        TimeElapsedColumn(),
    )
    bar = Progress(*columns, console=_out, disable=args.json or not _out.is_terminal)
    with only_builder(args.output), bar:
        for recipe in recipes:
            task = bar.add_task(recipe.name, total=1, step="")

            def report(
                step: str, done: int, total: int, recipe: Recipe = recipe, task: object = task
            ) -> None:
                if args.json:
                    _say(
                        {"event": "progress", "cube": recipe.name, "step": step, "done": done, "total": total}
                    )
                else:
                    bar.update(task, completed=done, total=total, step=step)  # type: ignore[arg-type]

            try:
                origin = None if args.bucket is None else Origin(args.bucket, args.output / recipe.name)
                if origin is not None:
                    origin.begin()
                outcome = build(recipe, args.source, args.output, report, only_missing=args.only_missing)
                if origin is not None:
                    report("bucket", 0, 1)
                    origin.finished(anew=outcome.outcome == "built")
            except CubeError as error:
                status = max(status, error.exit_status)
                _fail(error, as_json=args.json, cube=recipe.name)
                continue
            _done(outcome, as_json=args.json)
            bar.update(task, completed=1, total=1, step=outcome.outcome)
    return status


def _done(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        done = {
            "event": outcome.outcome,
            "cube": outcome.name,
            "path": str(outcome.path),
            "bytes": outcome.bytes,
        }
        _say(done)
    elif not _out.is_terminal:
        _out.print(f"{outcome.name}: {outcome.outcome}, {outcome.bytes / 1e6:.1f} MB")


def _fail(error: CubeError, *, as_json: bool, cube: str | None = None) -> None:
    if as_json:
        _say(
            {"event": "error", "cube": cube, "code": error.code, "message": error.message, "hint": error.hint}
        )
    _err.print(f"error: {error.message}", markup=False)
    if error.hint:
        _err.print(f"hint: {error.hint}", markup=False)


def run_list(args: argparse.Namespace) -> int:
    """Show every recipe and, with ``--output``, whether and how large its cube is."""
    rows: list[dict[str, object]] = []
    stamped = None if args.bucket is None else args.bucket.folder()[1]
    for recipe in RECIPES.values():
        row: dict[str, object] = {"name": recipe.name, "title": recipe.title, "synthetic": recipe.synthetic}
        if stamped is not None:
            row["built"] = stamp_key(recipe.name) in stamped
            row["bytes"] = (
                sum(size for _, size in args.bucket.below(f"{recipe.name}/")) if row["built"] else 0
            )
        elif args.output is not None:
            stamp = stamp_of(args.output / recipe.name)
            row["built"] = bool(stamp)
            row["bytes"] = size_of(args.output / recipe.name) if stamp else 0
        rows.append(row)
    rows += _others(args, stamped)
    if args.json:
        _say({"cubes": rows})
        return 0
    table = Table("name", "title", "state")
    for row in rows:
        state = (
            ""
            if "built" not in row
            else f"{int(str(row['bytes'])) / 1e6:.1f} MB"
            if row["built"]
            else "not built"
        )
        table.add_row(str(row["name"]), str(row["title"]), state)
    _out.print(table)
    return 0


def _others(args: argparse.Namespace, stamped: Collection[str] | None) -> list[dict[str, object]]:
    """Cubes that were built from scenes, under names of their own."""
    rows: list[dict[str, object]] = []
    if stamped is not None:
        ending = stamp_key("")
        for name in sorted(key.removesuffix(ending) for key in stamped if key.endswith(ending)):
            if name in RECIPES:
                continue
            size = sum(size for _, size in args.bucket.below(f"{name}/"))
            rows.append({"name": name, "title": "", "synthetic": False, "built": True, "bytes": size})
        return rows
    if args.output is None or not args.output.is_dir():
        return rows
    for folder in sorted(args.output.iterdir()):
        stamp = None if folder.name in RECIPES or folder.name.startswith(".") else stamp_of(folder)
        if stamp:
            title = str(stamp.get("title") or "")
            rows.append(
                {
                    "name": folder.name,
                    "title": title,
                    "synthetic": False,
                    "built": True,
                    "bytes": size_of(folder),
                }
            )
    return rows


def place(args: argparse.Namespace) -> None:
    """Take ``--output`` apart: ``args.bucket`` is the bucket or None, ``args.output`` the folder to work in.

    Raises
    ------
    BadInputError
        It names no bucket.
    """
    args.bucket = None
    if args.output is None:
        return
    if not is_address(args.output):
        args.output = Path(args.output)
        return
    args.bucket = Bucket(args.output)
    if args.command == "build" and args.work is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        args.work = cache / "cubehub" / hashlib.sha256(args.bucket.address.encode()).hexdigest()[:16]
    args.output = getattr(args, "work", None)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``cubehub-cubes``; 0 done, 1 failed, 2 bad input."""
    logging.basicConfig(level=logging.WARNING)
    args = parser().parse_args(argv)
    try:
        place(args)
        return run_build(args) if args.command == "build" else run_list(args)
    except CubeError as error:
        _fail(error, as_json=args.json)
        return error.exit_status
    except KeyboardInterrupt:
        _err.print("error: interrupted; nothing half-built is left in place", markup=False)
        return 1


if __name__ == "__main__":
    sys.exit(main())
