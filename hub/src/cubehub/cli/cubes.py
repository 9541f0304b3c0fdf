"""`cubehub cubes`: the cube builder, which has an environment of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import click

from cubehub.cli import publishing
from cubehub.cli.common import data_option, existing, json_option
from cubehub.errors import CubeHubError
from cubehub.resources import resource

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def cubes() -> None:
    """Build, list and publish the data cubes that the viewer shows."""


def _run(data: Path, *arguments: str) -> None:
    program = existing(data).envs / "cubes/bin/cubehub-cubes"
    if not program.exists():
        raise CubeHubError("The cube environment is not there yet.", "Run `cubehub up` once; it makes it.")
    raise SystemExit(subprocess.run([str(program), *arguments], check=False).returncode)


@cubes.command()
@click.argument("names", nargs=-1)
@data_option
@click.option(
    "--source",
    help="Folder with the scenes, a STAC catalogue, or the address of a STAC API (stac+https://HOST/PATH#COLLECTION).  [default: the samples CubeHub ships]",
)
@click.option("--area", metavar="W,S,E,N", help="In degrees: makes a cube from the scenes there.")
@click.option("--time", "span", metavar="FROM/UNTIL", help="Days, such as 2024-06-01/2024-09-01.")
@click.option("--name", help="Of the cube.  [default: the recipe's]")
@click.option("--grid", metavar="CRS@STEP", help="Such as EPSG:32633@20.  [default: the recipe's]")
@click.option(
    "--allow-bucket",
    "buckets",
    metavar="NAME",
    multiple=True,
    help="A bucket that items of a catalogue on the web may name (s3://NAME/…), such as eodata of the Copernicus Data Space; AWS_… in the environment says how to reach it.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that make steps.  [default: one for each core]"
)
@click.option("--dask", metavar="ADDRESS", help="A Dask scheduler that makes them instead.")
@click.option(
    "--output",
    metavar="s3://BUCKET/PREFIX",
    help="A bucket instead of the platform's own cubes; AWS_… in the environment says how to reach it.",
)
@json_option
def build(
    names: tuple[str, ...],
    data: Path,
    source: str | None,
    area: str | None,
    span: str | None,
    name: str | None,
    grid: str | None,
    buckets: tuple[str, ...],
    workers: int | None,
    dask: str | None,
    output: str | None,
    *,
    as_json: bool,
) -> None:
    """Build cubes: those of the samples, or with --area one from scenes by a recipe (a name, or a file in YAML).

    What is up to date is left alone; a build that was stopped goes on where it was.
    """
    given = {
        "--area": area, "--time": span, "--name": name, "--grid": grid, "--workers": workers, "--dask": dask,
    }  # fmt: skip
    # with = so that an area that begins with a minus is not taken for an option
    options = [f"{option}={value}" for option, value in given.items() if value is not None]
    options += [f"--allow-bucket={bucket}" for bucket in buckets]
    where = source or str(resource("binder", "data").resolve())
    _run(
        data,
        "build",
        *names,
        f"--source={where}",
        "--output",
        output or str(existing(data).cubes),
        *options,
        *(["--json"] if as_json else []),
    )


@cubes.command("list")
@data_option
@json_option
def list_(data: Path, *, as_json: bool) -> None:
    """List the cubes that have been built."""
    _run(data, "list", "--output", str(existing(data).cubes), *(["--json"] if as_json else []))


for _command in (publishing.publish, publishing.unpublish, publishing.published, publishing.extend):
    cubes.add_command(_command)
