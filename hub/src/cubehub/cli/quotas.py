"""`cubehub storage quotas`: hard limits of homes, which the file system holds."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from cubehub_spawner.entitlement import format_bytes
from cubehub_spawner.profiles import load_profiles
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cubehub.cli.common import data_option, existing, json_option
from cubehub.cli.service import service
from cubehub.cli.storage_settings import homes_option
from cubehub.errors import BadInputError, CubeHubError
from cubehub.local.data_folder import read_json
from cubehub.settings import ConfigFolder
from cubehub.storage.names import readable
from cubehub.storage.quotas import BtrfsQuota, Found, find
from cubehub.storage.quotas.homes import Line, Owner, apply, lines

if TYPE_CHECKING:
    from cubehub_spawner.profiles import Profiles

    from cubehub.local.data_folder import DataFolder

_SHOWN = 30


@click.command()
@data_option
@homes_option
@click.option(
    "--apply", "sets", is_flag=True, help="Set each home's limit to the `storage` of its person's profile."
)
@click.option(
    "--switch-on", is_flag=True,
    help="First switch simple quotas on, where the homes lie on btrfs. What lies there already is not counted.",
)  # fmt: skip
@json_option
def quotas(data: Path, homes: Path | None, *, sets: bool, switch_on: bool, as_json: bool) -> None:
    """Tell what holds homes to a limit here, and if nothing does, why; with --apply set the limits.

    A server that starts gets its home's limit set by itself, where that works. Needs root. Without --apply and
    --switch-on nothing is changed.
    """
    folder = existing(data)
    root = homes or folder.homes
    if not root.is_dir():
        raise BadInputError(f"{root} is no folder.", "Name the folder of the homes with --homes.")
    if switch_on:
        BtrfsQuota().switch_on(root)
    found = find(root)
    if sets and not found.limits:
        raise CubeHubError(
            f"No limits can be set for the homes in {root}.",
            "`cubehub storage quotas` tells why, and what to do.",
            code="no_quotas",
        )
    people, unknown = _people(data, required=sets)
    there = lines(root, people, _profiles(folder), found.backend) if found.limits else []
    if sets:
        there = apply(root, there, found.backend)
    if as_json:
        click.echo(json.dumps(_json(found, there)))
    else:
        _show(found, there, unknown)
    if sets and any(_differs(line) for line in there):
        raise SystemExit(1)


def _profiles(folder: DataFolder) -> Profiles:
    """The profiles in the folder of settings that the platform was started with, else in DATA/config, else as shipped."""
    started_with = (read_json(folder.run / "hub.json") or {}).get("config")
    config = ConfigFolder(Path(started_with) if started_with else folder.root / "config")
    return load_profiles(config.path("profiles.yaml"))


def _people(data: Path, *, required: bool) -> tuple[list[Owner] | None, str]:
    """Everybody, with their profile; None where the platform does not tell, and why.

    Raises
    ------
    CubeHubError
        It does not, and is needed.
    """
    try:
        accounts = service(data)
        found: list[Owner] = []
        more, first = True, 0
        while more:
            page = accounts.ask("GET", "/users", params={"search": "", "first": first, "max": 100})
            first += len(page["users"])
            found += [Owner(user["name"], user["id"], user["profile"]) for user in page["users"]]
            more = bool(page["more"] and page["users"])
    except CubeHubError as error:
        if required:
            raise
        return None, error.message
    return found, ""


def _json(found: Found, there: list[Line]) -> dict[str, object]:
    return {
        "backend": found.backend.name,
        "support": {name: asdict(said) for name, said in found.support.items()},
        "homes": [asdict(line) | {"home": readable(os.fsencode(line.home))} for line in there],
    }


def _show(found: Found, there: list[Line], unknown: str) -> None:
    console = Console(highlight=False)
    if not found.limits:
        console.print("Nothing holds homes to a limit here.")
        for name, said in found.support.items():
            if not said.works:
                console.print(Text(f"  {name}: {said.reason}"), soft_wrap=True)
            if said.remedy:
                console.print(Text(f"    {said.remedy}", style="dim"), soft_wrap=True)
        return
    console.print(
        Text(f"Homes are held to limits by {found.backend.name}. {found.backend.caution}".rstrip()),
        soft_wrap=True,
    )
    if unknown:
        console.print(Text(f"Nobody could be asked for people's profiles: {unknown}", style="yellow"))
    if there:
        console.print(_table(there))
    if len(there) > _SHOWN:
        console.print(f"and {len(there) - _SHOWN:,} more: --json tells all", style="dim")
    for line in [line for line in there if line.why][:_SHOWN]:
        what = f"{readable(os.fsencode(line.home))}: {line.why} {line.hint}"
        console.print(Text(what.rstrip()), soft_wrap=True)
    differ = sum(_differs(line) for line in there)
    if differ:
        console.print(
            f"{differ:,} of {len(there):,} homes have another limit than their profile says.", style="yellow"
        )


def _table(there: list[Line]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("home")
    table.add_column("used", justify="right")
    table.add_column("limit", justify="right")
    table.add_column("profile")
    table.add_column("its storage", justify="right")
    for line in sorted(there, key=_fullest)[:_SHOWN]:
        table.add_row(
            Text(readable(os.fsencode(line.home))), _size(line.used), _size(line.limit), Text(line.profile or ""),
            _size(line.should_have),
        )  # fmt: skip
    return table


def _differs(line: Line) -> bool:
    return line.should_have is not None and line.limit != line.should_have


def _size(count: int | None) -> str:
    return "-" if count is None else format_bytes(count)


def _fullest(line: Line) -> float:
    """The fullest first; those of which nobody knows last."""
    return -(line.used or 0) / (line.limit or line.should_have or 2**60)
