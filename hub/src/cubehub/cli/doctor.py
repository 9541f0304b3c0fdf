"""`cubehub doctor`: why somebody gets what they get, and whether the platform is well."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from cubehub.cli.common import data_option, existing, json_option
from cubehub.cli.service import elsewhere, service
from cubehub.cli.status import gather
from cubehub.errors import BadInputError
from cubehub.local.data_folder import full_path, runnable

if TYPE_CHECKING:
    from pathlib import Path

_MARKS = {"ok": ("✓", "green"), "note": ("!", "yellow"), "problem": ("✗", "red")}


@click.command()
@click.argument("user", required=False)
@data_option
@json_option
def doctor(user: str | None, data: Path, *, as_json: bool) -> None:
    """Explain why USER gets what they get; without USER, look whether the platform is well."""
    if user is not None:
        found = service(data).user("GET", user, "doctor")
    else:
        if elsewhere():
            raise BadInputError(
                "Without USER, doctor looks at the machine it runs on; CUBEHUB_URL names another.",
                "Run it there, or name the folder of a CubeHub on this machine with --data.",
            )
        # it reads the Hub's packages, which takes longer than all else here
        from cubehub.checkup import check_up  # noqa: PLC0415

        folder = existing(data)
        found = {"findings": [one.as_json() for one in check_up(folder, gather(folder))]}
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        _print(found["findings"], full_path(data))
    if user is None and any(one["level"] == "problem" for one in found["findings"]):
        raise SystemExit(1)


def _print(findings: list[dict[str, Any]], data: Path) -> None:
    console = Console(highlight=False)
    for one in findings:
        mark, colour = _MARKS[one["level"]]
        console.print(Text(f"{mark} ", style=colour) + Text(one["message"]))
        if one["hint"]:
            # not wrapped: a command in it is to be copied
            console.print(Text(f"  {runnable(one['hint'], data)}", style="dim"), soft_wrap=True)
