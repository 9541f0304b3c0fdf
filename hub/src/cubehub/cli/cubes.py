"""`cubehub cubes`: the cube builder, which has an environment of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import click

from cubehub.cli.common import data_option, existing, json_option
from cubehub.errors import CubeHubError
from cubehub.resources import resource

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def cubes() -> None:
    """Build and list the data cubes that the viewer publishes."""


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
    type=click.Path(exists=True, file_okay=False),
    help="Folder with the scenes.  [default: the samples CubeHub ships]",
)
@json_option
def build(names: tuple[str, ...], data: Path, source: str | None, *, as_json: bool) -> None:
    """Build the named cubes, or all; what is up to date is left alone."""
    where = source or str(resource("binder", "data").resolve())
    _run(
        data,
        "build",
        *names,
        "--source",
        where,
        "--output",
        str(existing(data).cubes),
        *(["--json"] if as_json else []),
    )


@cubes.command("list")
@data_option
@json_option
def list_(data: Path, *, as_json: bool) -> None:
    """List the cubes that have been built."""
    _run(data, "list", "--output", str(existing(data).cubes), *(["--json"] if as_json else []))
