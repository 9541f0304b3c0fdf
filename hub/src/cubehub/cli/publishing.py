"""`cubehub cubes publish` and what goes with it: by the token of a person's server, or as the operator of this machine.

It needs no server half, and xarray only where a cube is published.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cubehub import publishing
from cubehub.errors import BadInputError, CubeHubError
from cubehub.publishing.osc import THEMES, Osc
from cubehub.publishing.service import Service

if TYPE_CHECKING:
    import xarray as xr

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
data_option = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False),
    help="Folder of a CubeHub on this machine: act as its operator, on everybody's cubes.",
)  # fmt: skip


@click.group()
def light() -> None:
    """Publish data cubes, list them and take them back."""


def _opened(path: str) -> xr.Dataset:
    try:
        import xarray as xr  # noqa: PLC0415 - heavy
    except ModuleNotFoundError as error:
        raise CubeHubError(
            "xarray is not installed here.", "Publish from a terminal in JupyterLab on the platform."
        ) from error
    if not Path(path).exists() and "://" not in path:
        raise BadInputError(f"There is no {path}.", "Name a Zarr or a NetCDF file.")
    zarr = (
        path.rstrip("/").endswith(".zarr")
        or (Path(path) / "zarr.json").exists()
        or (Path(path) / ".zgroup").exists()
    )
    try:
        return xr.open_zarr(path, chunks=None) if zarr else xr.open_dataset(path, chunks=None)
    except Exception as error:
        raise BadInputError(
            f"{path} cannot be read: {' '.join(str(error).split())[:300]}", "Is it a Zarr or a NetCDF file?"
        ) from error


def _style(given: tuple[str, ...]) -> dict[str, Any] | None:
    """Read ``VARIABLE=COLOURS[:LOW:HIGH[:log]]``."""
    made: dict[str, Any] = {}
    for text in given:
        name, found, said = text.partition("=")
        colours, *rest = said.split(":")
        try:
            low_high = [float(v) for v in rest[:2]]
        except ValueError:
            low_high = [0.0]
        if (
            not found
            or not name
            or len(rest) > 3
            or len(low_high) == 1
            or (len(rest) == 3 and rest[2] not in {"lin", "log"})
        ):
            raise BadInputError(
                f"--style {text!r} cannot be understood.",
                "Write --style chl=viridis:0.1:30:log, or --style chl=viridis.",
            )
        made[name] = {"colours": colours or "viridis"}
        if low_high:
            made[name]["range"] = tuple(low_high)
        if len(rest) == 3:
            made[name]["scale"] = rest[2]
    return made or None


def _shown(cube: publishing.Published) -> str:
    state = f"  ({cube.state})" if cube.state else ""
    return f"{cube.name}  ({cube.id})  {cube.owner}  {cube.access_text}  until {cube.expires:%Y-%m-%d}  {cube.size_bytes / 2**20:.1f} MiB{state}\n    {cube.url}"


def _tell(cube: publishing.Published, *, as_json: bool) -> None:
    click.echo(json.dumps(cube.as_json()) if as_json else _shown(cube))


@click.command()
@click.argument("path", metavar="ZARR_OR_NETCDF")
@click.option("--name", required=True, help="Of the cube; one of yours that has it is replaced.")
@click.option("--title", help="One line for people.  [default: the data's]")
@click.option("--description", help="Some lines for people.  [default: the data's]")
@click.option("--attribution", help="Whom to name beside every picture.  [default: the data's]")
@click.option("--license", help="SPDX name, such as CC-BY-4.0.  [default: the data's]")
@click.option(
    "--access",
    multiple=True,
    metavar="WHO",
    help="owner, account, public, or a group such as /cubehub/premium; several groups by several options.  [default: owner]",
)
@click.option(
    "--style",
    multiple=True,
    metavar="VARIABLE=COLOURS:LOW:HIGH:SCALE",
    help="How a variable is shown, such as chl=viridis:0.1:30:log.",
)
@click.option("--variable", "variables", multiple=True, help="Publish this one, and others so named, only.")
@click.option("--expires", help="Days, such as 30d, or a date.  [default: the platform's]")
@click.option("--osc", metavar="FOLDER", help="Write records for the Open Science Catalog into this folder.")
@click.option("--osc-project", default="your-project", show_default=True, help="Id of the project there.")
@click.option("--osc-theme", "themes", multiple=True, type=click.Choice(THEMES), help="A theme there.")
@click.option(
    "--osc-workflow",
    default="",
    metavar="URL",
    help="The code that made the cube: a workflow and an experiment are written too.",
)
@json_option
def publish(
    path: str,
    name: str,
    title: str | None,
    description: str | None,
    attribution: str | None,
    license: str | None,  # noqa: A002 - the option's name
    access: tuple[str, ...],
    style: tuple[str, ...],
    variables: tuple[str, ...],
    expires: str | None,
    osc: str | None,
    osc_project: str,
    themes: tuple[str, ...],
    osc_workflow: str,
    *,
    as_json: bool,
) -> None:
    """Publish a cube: it is in the viewer when the command ends. For a terminal on the platform."""
    Service.here()  # before the file is opened
    dataset = _opened(path)
    missing = [v for v in variables if v not in dataset.data_vars]
    if missing:
        raise BadInputError(
            f"{path} has no variable {missing[0]}.", f"It has {', '.join(map(str, dataset.data_vars))}."
        )
    records = Osc(osc, osc_project, tuple(themes), workflow=osc_workflow) if osc else None
    made = publishing.publish(
        dataset[list(variables)] if variables else dataset,
        name,
        title=title,
        description=description,
        attribution=attribution,
        license=license,
        style=_style(style),
        access="owner" if not access else access[0] if len(access) == 1 else list(access),
        expires=expires,
        osc=records,
        progress=not as_json,
    )
    _tell(made, as_json=as_json)
    if made.warnings and not as_json:
        click.echo(publishing.listed(made.warnings), err=True)


@click.command()
@click.argument("name")
@click.option("--now", is_flag=True, help="Remove the data at once, which makes room.")
@data_option
@json_option
def unpublish(name: str, data: Path | None, *, now: bool, as_json: bool) -> None:
    """Take a published cube back, by its name or id; nobody sees it any more when the command ends."""
    _tell(publishing.unpublish(name, now=now, service=_service(data)), as_json=as_json)


@click.command()
@click.argument("name")
@click.option("--expires", required=True, help="Days from now, such as 30d, or a date.")
@data_option
@json_option
def extend(name: str, expires: str, data: Path | None, *, as_json: bool) -> None:
    """Have a published cube expire at another time."""
    _tell(publishing.extend(name, expires, service=_service(data)), as_json=as_json)


@click.command()
@click.option("--all", "everybody", is_flag=True, help="Everybody's; for administrators.")
@data_option
@json_option
def published(data: Path | None, *, everybody: bool, as_json: bool) -> None:
    """List your published cubes, and how much room is left; with --data everybody's."""
    found = publishing.listing(everybody=everybody or data is not None, service=_service(data))
    cubes = [publishing.Published.from_json(one) for one in found["cubes"]]
    if as_json:
        told = {"cubes": [cube.as_json() for cube in cubes]}
        click.echo(json.dumps(told | {key: found[key] for key in ("used_bytes", "quota_bytes", "max_cubes")}))
        return
    for cube in cubes:
        click.echo(_shown(cube))
    whose = f" of {found['quota_bytes'] / 2**30:.1f} GiB for a person"
    click.echo(f"{len(cubes)} cubes, {found['used_bytes'] / 2**30:.2f} GiB{whose}")


def _service(data: Path | None) -> Service | None:
    """Find the platform: that of this server, or as its operator the one of a data folder."""
    if data is None:
        on_platform = "JUPYTERHUB_API_TOKEN" in os.environ or "CUBEHUB_TOKEN" in os.environ
        if on_platform or not _server_half():
            return None
        from cubehub.local.data_folder import default_data  # noqa: PLC0415 - of the server half

        data = default_data()
    elif not _server_half():
        raise BadInputError("--data is for the machine that runs CubeHub.", "Leave it out.")
    from cubehub.cli.service import operator_address  # noqa: PLC0415 - as above

    return Service(*operator_address(data), patience_s=10)


def _server_half() -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 - asked here only

    return find_spec("httpx") is not None and find_spec("psutil") is not None


for _command in (publish, unpublish, published, extend):
    light.add_command(_command)
