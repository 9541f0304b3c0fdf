"""`cubehub users export|erase`: what is a person's own, handed out or removed for good."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cubehub_spawner.entitlement import format_bytes
from cubehub_spawner.names import home_name
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cubehub.cli.common import data_option, json_option, many
from cubehub.cli.service import service
from cubehub.cli.storage_settings import settings_for
from cubehub.cli.telling import minute
from cubehub.errors import BadInputError, CubeHubError
from cubehub.local.data_folder import typed
from cubehub.storage import erasing
from cubehub.storage.keeping import Keeping
from cubehub.storage.names import readable
from cubehub.storage.starting import STARTED
from cubehub.storage.whose import account_of

if TYPE_CHECKING:
    from cubehub.storage.quarantine import Outcome


def _about(data: Path, name: str) -> dict[str, Any]:
    """What Keycloak says of a person; somebody whose account has gone has nothing there."""
    try:
        found: dict[str, Any] = service(data).user("GET", name)
    except CubeHubError as error:
        if error.code != "unknown_account":
            raise
        return {"name": name}
    return found


def _must_be_theirs(keeping: Keeping, home: bytes, about: dict[str, Any], hint: str) -> None:
    """Look that a home is of the account that has the name now.

    Raises
    ------
    BadInputError
        It is an earlier account's.
    """
    account = account_of(keeping.settings.homes, home)
    if account is not None and about.get("id") not in {None, account}:
        message = f"The home {readable(home)} is that of an earlier account of the name: {account}, not {about['id']}."
        raise BadInputError(message, hint, code="another_account")


@click.command()
@click.argument("name")
@data_option
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    help="Folder that it is written into, made if it is missing.  [default: the current one]",
)
@json_option
def export(name: str, data: Path, to: Path, *, as_json: bool) -> None:
    """Write a person's home, and what the platform knows of them, into files that they can be given.

    NAME.tar.zst is their home (`zstd -dc NAME.tar.zst | tar -x` unpacks it), NAME.jsonl.zst lists it with checksums,
    NAME.json has account, mails, items registered in the catalogue, and lines of the audit log. If something changes meanwhile, nothing is written: stop
    their server then.
    """
    try:
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"{to} cannot be made: {error.strerror}.", "Name another folder.") from error
    about = _about(data, name)
    keeping = Keeping(settings_for(data))
    home = home_name(str(about["name"])).encode()
    _must_be_theirs(keeping, home, about, "The present one has none before their server was started once.")
    out = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(), TextColumn("packing {task.fields[files]:,} files, {task.fields[size]}"), TimeElapsedColumn(),
        console=out, disable=as_json or not out.is_terminal, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=None, files=0, size="0 B")
        files = erasing.export(
            keeping,
            home,
            to,
            about,
            lambda count, size: bar.update(task, files=count, size=format_bytes(size)),
        )
    if as_json:
        click.echo(json.dumps({"files": [str(file) for file in files]}))
        return
    for file in files:
        click.echo(f"{format_bytes(file.stat().st_size):>10}  {file}")


@click.command()
@click.argument("name")
@data_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--earlier", is_flag=True, help="It is an earlier account of that name who asked.")
@click.option(
    "--now", is_flag=True, help="Remove it at once, and also what waits for its erasure, without the hold."
)
@json_option
def erase(name: str, data: Path, *, yes: bool, earlier: bool, now: bool, as_json: bool) -> None:
    """Remove all that a person has in homes, quarantine, archives and the catalogue, because they asked for it.

    The home goes into quarantine first and is removed by the first `cubehub storage purge` after the hold (`hold` in
    storage.yaml); until then `cubehub storage restore` takes it back. With it goes what they registered in the catalogue for
    themselves; what they registered for a group stays, without their name. A receipt of what was removed is kept in
    storage/receipts of the data folder.
    """
    keeping = Keeping(settings_for(data))
    home = home_name(name).encode()
    about: dict[str, Any] = {"name": name}
    with suppress(CubeHubError):  # it goes without the platform, too
        about = _about(data, name)
    account = account_of(keeping.settings.homes, home)
    if not earlier:
        _must_be_theirs(keeping, home, about, "If that one asked for it, say --earlier.")
    elif account is not None and about.get("id") == account:
        raise BadInputError(
            f"The home {readable(home)} is that of the present account of the name: {account}.",
            "Leave --earlier out if that one asked for it.",
            code="another_account",
        )
    away = erasing.away(keeping, home, account)
    size = format_bytes(sum(one.bytes for one in away))
    more = f", and {many(len(away), 'entry', 'entries')} of {size} moved out of it earlier," if away else ""
    if not yes and not click.confirm(
        f"Remove the home {readable(home)}{more} for good{' now' if now else ' after the hold'}?", err=True
    ):
        click.echo("Nothing was removed or moved.", err=True)
        return
    done: Outcome | None = None
    with keeping.keeper() as (keeper, made):
        if (keeping.settings.homes / readable(home)).exists():
            done = erasing.begin(keeping, keeper, made, home)
            if done.why:
                stop = f"`cubehub users suspend {name}` does, and keeps them from starting another"
                raise CubeHubError(
                    f"The home {readable(home)} cannot be moved away: {done.why}.",
                    f"Stop it, if it runs ({stop}); then wait until these minutes are over, for one that starts is not seen at once."
                    if done.why == STARTED
                    else f"Stop their server; {stop}.",
                    code="in_use",
                )
            keeping.note("erase", [done])
        if now:
            with keeping.archivist(keeper, made) as archivist:
                receipt = erasing.finish(keeping, keeper, archivist, made, home, account)
            _tell(receipt, as_json=as_json)
            return
    if done is None:
        raise BadInputError(
            f"There is no home {readable(home)!r}.",
            f"What is in quarantine or in archives of it is removed with --now: see `cubehub storage list --home {readable(home)}`.",
        )
    until = minute(time.time() + keeping.policy.hold)
    if as_json:
        click.echo(
            json.dumps({"home": readable(home), "bytes": done.bytes, "until": until, "number": done.move})
        )
        return
    root = keeping.settings.data
    click.echo(f"The home ({format_bytes(done.bytes)}) is in quarantine{more.rstrip(',') or '.'}")
    click.echo(
        f"All of it is removed by the first {typed('storage purge', root)} after {until}, which writes a receipt. "
        f"Back until then: {typed(f'storage restore {done.move}', root)}"
    )


def _tell(receipt: erasing.Receipt, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(receipt)))
    else:
        for one in receipt.removed:
            click.echo(
                f"removed from {' and '.join(one['from'])}: {one['path'] if one['path'] != '.' else '(whole home)'}, {format_bytes(one['bytes'])}"
            )
        for one in receipt.items_removed:
            click.echo(f"removed from the catalogue: {one['collection']}/{one['id']}")
        for one in receipt.items_kept:
            click.echo(
                f"kept without the name, for the group {one['group']}: {one['collection']}/{one['id']}"
            )
        click.echo(f"{receipt.mails} {'mail' if receipt.mails == 1 else 'mails'} forgotten.")
        click.echo(f"The receipt: {receipt.file}")
        click.echo("Not reached by this: " + "; ".join(receipt.elsewhere) + ".")
    if receipt.left:
        raise CubeHubError(
            f"Not all could be removed: {'; '.join(receipt.left[:5])}.", "Mend that, then run it again."
        )


COMMANDS = (export, erase)
