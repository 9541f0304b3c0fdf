"""`cubehub up`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click
import httpx
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from cubehub.cli.common import data_option, json_option
from cubehub.local.data_folder import DataFolder, full_path, typed
from cubehub.local.platform import FIRST_PORT, HIGHEST_PORT, is_loopback
from cubehub.local.progress import open_progress
from cubehub.local.up import (
    Ready,
    Request,
    get_ready,
    isolation_of,
    port_of_last_start,
    run_detached,
    run_here,
)
from cubehub.storage.quotas import find

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_spawner.isolation import Isolation


@click.command()
@data_option
@click.option(
    "--port",
    type=click.IntRange(1, HIGHEST_PORT),
    help="Port of the one address.  [default: that of the last start; 8000 at the first]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--config", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with your own cubehub.yaml, profiles.yaml, cubes.yaml.  [default: DATA/config]",
)  # fmt: skip
@click.option("--detach", is_flag=True, help="Return when everything is healthy; go on in the background.")
@click.option(
    "--trust-everyone",
    is_flag=True,
    help="Let several people have servers where nothing keeps them apart: everyone can read everyone's files.",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@json_option
def up(
    data: Path,
    port: int | None,
    host: str,
    config: Path | None,
    *,
    detach: bool,
    trust_everyone: bool,
    no_browser: bool,
    as_json: bool,
) -> None:
    """Bring up the whole platform on this machine."""
    before = port_of_last_start(DataFolder(full_path(data)))
    request = Request(data, host, port, config, trust_everyone)
    open_browser = not (no_browser or as_json or detach) and sys.stdout.isatty() and _has_display()
    with _interruptible(), open_progress(as_json=as_json) as progress:
        ready = get_ready(request, progress)
        if not as_json and (said := port_remark(before, ready.platform.port)):
            click.echo(said, err=True)
        if detach:
            run_detached(ready, request, progress)
    if detach:
        announce(ready, as_json=as_json, detached=True)
        return

    def when_ready() -> None:
        announce(ready, as_json=as_json, detached=False)
        if open_browser:
            webbrowser.open(ready.platform.public_url)

    if not as_json:
        click.echo("Starting Keycloak, catalogue, cubes, Dask Gateway and the Hub …", err=True)
    run_here(ready, when_ready)
    if not as_json:
        click.echo("CubeHub is stopped; all files are kept.", err=True)


def port_remark(before: int | None, port: int) -> str:
    """Say which port it is where that is not what the person typed or expects."""
    if before is None or (before, port) == (FIRST_PORT, FIRST_PORT):
        return ""
    if before == port:
        return f"Port {port}, as at the last start."
    return f"Port {port}; it was {before} at the last start, which bookmarks and links still name."


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Answer a closed terminal and `cubehub down` as Ctrl-C, so that what was begun is tidied up."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _has_display() -> bool:
    # without one, Python would open a text browser over the banner
    return "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ


def announce(ready: Ready, *, as_json: bool, detached: bool) -> None:
    """Print the short table: address, accounts, where the data are, how to stop."""
    data, platform = ready.data, ready.platform
    remarks = [
        *isolation_remark(isolation_of(data), trust_everyone=ready.trust_everyone),
        *home_limits_remark(data.homes),
        *_reach_remark(platform.host),
        *_catalogue_remark(platform.inner_url("catalogue")),
    ]
    if as_json:
        click.echo(
            json.dumps(
                {
                    "url": platform.public_url,
                    "keycloak": platform.keycloak_url,
                    "accounts": str(data.accounts_file),
                    "data": str(data.root),
                    "remarks": remarks,
                }
            )
        )
        return
    first_time = _first_time(data)
    stop = typed("down", data.root)
    table = Table.grid(padding=(0, 2))
    table.add_row("[bold]Address", f"[bold green]{platform.public_url}")
    table.add_row("Cubes (no account)", f"{platform.public_url}/services/cubes/viewer/")
    table.add_row("Accounts", escape(_accounts(data, shown=first_time)))
    table.add_row("Data", escape(str(data.root)))
    table.add_row("Stop", escape(stop if detached else f"Ctrl-C, or: {stop}"))
    for remark in remarks:
        table.add_row("[yellow]Note", escape(remark))
    Console().print(Panel(table, title="CubeHub is up", border_style="green", expand=False))


def _first_time(data: DataFolder) -> bool:
    mark = data.run / "accounts-shown"
    first = not mark.exists()
    mark.touch(mode=0o600)
    return first


def _accounts(data: DataFolder, *, shown: bool) -> str:
    """Passwords are printed once; afterwards only the file that keeps them is named."""
    if shown and data.accounts_file.exists():
        return data.accounts_file.read_text().strip()
    return f"in {data.accounts_file} (readable by you alone)"


def isolation_remark(isolation: Isolation, *, trust_everyone: bool) -> list[str]:
    """Say in a line what does not keep servers apart; nothing where they are shut in."""
    if isolation.kind == "bubblewrap":
        return []
    mend = "One line mends it: sudo apt install bubblewrap"
    if isolation.kind == "uid":
        apart = "files are apart, but people see which programs others run"
        return [f"Servers run under a user id per person ({isolation.reason}): {apart}. {mend}"]
    who = (
        "everyone can read everyone's files, as --trust-everyone says"
        if trust_everyone
        else "only one person can have servers (or all, with --trust-everyone)"
    )
    return [
        f"Servers are not shut into their homes ({isolation.reason}); on loopback only, and {who}. {mend}"
    ]


def home_limits_remark(homes: Path) -> list[str]:
    """Say what comes with the hard limits of homes; nothing where there are none, or nothing comes with them."""
    found = find(homes)
    if not found.limits or not found.backend.caution:
        return []
    return [f"Homes are held to limits by {found.backend.name}. {found.backend.caution}"]


def _reach_remark(host: str) -> list[str]:
    if is_loopback(host):
        return []
    return [
        f"Other machines can reach {host}, and passwords travel unencrypted: use a network you trust, or a proxy with TLS in front."
    ]


def _catalogue_remark(url: str) -> list[str]:
    try:
        health = httpx.get(f"{url}/services/catalogue/health", timeout=5, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return []
    if health.get("mode") != "static":
        return []
    return [f"The catalogue can be read but not searched. One line adds search: {health.get('hint', '')}"]
