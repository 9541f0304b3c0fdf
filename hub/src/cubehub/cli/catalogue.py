"""`cubehub catalogue`: items of one's own in the platform's catalogue, by the token of a person's server."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cubehub import catalogue as own

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
group_option = click.option(
    "--group", metavar="PATH", help="One of your groups, such as /cubehub/premium.  [default: you alone]"
)


@click.group()
def catalogue() -> None:
    """Register items of your own in the catalogue, list them and take them away."""


def _shown(item: own.Registered) -> str:
    return f"{item.id}  {item.collection}  {item.group or 'you alone'}  {item.datetime}\n    {item.href}"


@catalogue.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@group_option
@json_option
def add(files: tuple[Path, ...], group: str | None, *, as_json: bool) -> None:
    """Register STAC items, each in a JSON file; those of yours with the same id are replaced."""
    done = []
    for path in files:
        done.append(own.register(path, group))
        if not as_json:
            click.echo(_shown(done[-1]))
    if as_json:
        click.echo(json.dumps({"items": [item.as_json() for item in done]}))


@catalogue.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List what you registered."""
    found = own.registered()
    if as_json:
        click.echo(json.dumps({"items": [item.as_json() for item in found]}))
        return
    for item in found:
        click.echo(_shown(item))
    click.echo(f"{len(found)} items")


@catalogue.command()
@click.argument("item_id", metavar="ID")
@group_option
@json_option
def remove(item_id: str, group: str | None, *, as_json: bool) -> None:
    """Take an item away; nobody finds it any more when the command ends."""
    gone = own.unregister(item_id, group)
    click.echo(json.dumps(gone.as_json()) if as_json else f"{gone.id} is taken away.")


@catalogue.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def export(folder: Path, *, as_json: bool) -> None:
    """Write what you and your groups registered into FOLDER, as a STAC catalogue that needs no server."""
    written = own.export(folder)
    click.echo(json.dumps({"catalogue": str(written)}) if as_json else str(written))
