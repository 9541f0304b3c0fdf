"""`cubehub status` and `cubehub down`."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cubehub.cli.common import data_option, existing, json_option
from cubehub.local.data_folder import typed
from cubehub.local.preflight import DISK_NEEDED_LATER
from cubehub.local.processes import SERVER_MARK, cluster_processes, marked, same_process, tree_memory
from cubehub.local.up import stop

if TYPE_CHECKING:
    from cubehub.local.data_folder import DataFolder

_COLOURS = {"healthy": "green", "starting": "yellow", "restarting": "yellow", "unhealthy": "red"}


def gather(data: DataFolder) -> dict[str, Any]:
    """Say what runs now: a state file whose supervisor is gone describes the past and is not believed."""
    state = data.state()
    up = state["up"] or {}
    running = bool(up) and same_process(up["pid"], up["created"]) is not None
    parts = {}
    for name, part in (state.get("parts") or {}).items():
        pid = part["pid"] if running else None
        parts[name] = {
            "pid": pid,
            "health": part["health"] if running else "stopped",
            "since": part["since"] if pid else None,
            "restarts": part["restarts"],
            "memory_bytes": tree_memory(pid) if pid else 0,
            "log": part["log"],
        }
    servers = marked(SERVER_MARK, data.run_id)
    if running and "hub" in parts:
        # people's servers are the Hub's children, but not the platform's own use
        inside = {process.pid for process in servers}
        parts["hub"]["memory_bytes"] = tree_memory(parts["hub"]["pid"] or 0, without=inside)
    clusters = 0
    if running and "gateway" in parts and (pid := parts["gateway"]["pid"]):
        # people's, too, and not the platform's own use
        platform_memory = tree_memory(pid, without=cluster_processes(pid))
        clusters = parts["gateway"]["memory_bytes"] - platform_memory
        parts["gateway"]["memory_bytes"] = platform_memory
    return {
        "running": running,
        "phase": state.get("phase") if running else "stopped",
        "public_url": state.get("public_url"),
        "data": str(data.root),
        "up": {"pid": up.get("pid"), "memory_bytes": tree_memory(up["pid"], alone=True)} if running else None,
        "parts": parts,
        "servers": {
            "processes": len(servers),
            "memory_bytes": sum(tree_memory(process.pid, alone=True) for process in servers),
        },
        "dask_clusters": {"memory_bytes": max(clusters, 0)},
        "disk_free_bytes": shutil.disk_usage(data.root).free,
    }


@click.command()
@data_option
@json_option
def status(data: Path, *, as_json: bool) -> None:
    """Show what runs, since when, how healthy, and how much memory it takes."""
    found = gather(existing(data))
    if as_json:
        click.echo(json.dumps(found, indent=1))
        raise SystemExit(0 if found["running"] else 1)
    console = Console()
    if not found["running"]:
        console.print(
            f"CubeHub on {escape(found['data'])} is [bold]not running[/]. "
            f"Start it with: {escape(typed('up', Path(found['data'])))}",
            soft_wrap=True,  # a command that is cut in two can't be copied
        )
        raise SystemExit(1)
    where = found["public_url"] or escape(found["data"])
    table = Table(title=f"CubeHub at {where}: {found['phase']}", title_justify="left")
    for heading, justify in (
        ("part", "left"),
        ("health", "left"),
        ("since", "left"),
        ("restarts", "right"),
        ("memory", "right"),
        ("process", "right"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    total = found["up"]["memory_bytes"]
    for name, part in found["parts"].items():
        total += part["memory_bytes"]
        colour = _COLOURS.get(part["health"], "white")
        since = time.strftime("%d %b %H:%M:%S", time.localtime(part["since"])) if part["since"] else "-"
        table.add_row(
            name, f"[{colour}]{part['health']}", since, str(part["restarts"]),
            f"{part['memory_bytes'] / 2**20:.0f} MiB", str(part["pid"] or "-"),
        )  # fmt: skip
    table.add_section()
    table.add_row("whole", "", "", "", f"{total / 2**20:.0f} MiB", "")
    for name, key in (("people's servers", "servers"), ("Dask clusters", "dask_clusters")):
        if memory := found[key]["memory_bytes"]:
            table.add_row(name, "", "", "", f"{memory / 2**20:.0f} MiB", "")
    console.print(table)
    if (free := found["disk_free_bytes"]) < DISK_NEEDED_LATER:
        console.print(
            f"[yellow]Note[/] {free / 2**20:.0f} MiB of disk is free at {escape(found['data'])}; "
            "on a full disk nobody can log in or save. Free some."
        )


@click.command()
@data_option
@json_option
def down(data: Path, *, as_json: bool) -> None:
    """Stop the platform and all servers; files stay."""
    folder = existing(data)
    if not as_json:
        click.echo("Stopping people's servers and all parts; this may take half a minute …", err=True)
    stopped = stop(folder)
    if as_json:
        click.echo(json.dumps({"stopped": stopped, "data": str(folder.root)}))
    else:
        click.echo("CubeHub is stopped; all files are kept." if stopped else "Nothing was running.")
