"""`cubehub users`: who there is, and what they may have."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from cubehub_spawner.entitlement import format_bytes
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cubehub.cli import erasing
from cubehub.cli.common import data_option, json_option
from cubehub.cli.service import service
from cubehub.errors import BadInputError

if TYPE_CHECKING:
    from pathlib import Path

_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_LONGEST = timedelta(days=3650)


@click.group()
def users() -> None:
    """See people and their profiles; move, suspend and resume them."""


def read_until(text: str, now: datetime) -> datetime:
    """Read when a move ends.

    Parameters
    ----------
    text
        ``2w``, ``3d``, ``12h``, ``30m`` or ``20s`` from now; a date, which counts to its end; or a moment in ISO form.
        Without a zone it is in that of `now`.
    now
        With its zone.

    Raises
    ------
    BadInputError
        It is none of these, or not within the next ten years.
    """
    word = text.strip()
    try:
        if match := _SPAN.fullmatch(word):
            until = now + int(match[1]) * _UNITS[match[2]]
        elif re.fullmatch(r"\d{4}-\d{2}-\d{2}", word):
            until = datetime.fromisoformat(word).replace(tzinfo=now.tzinfo) + timedelta(days=1)
        else:
            until = datetime.fromisoformat(word)
            until = until.replace(tzinfo=now.tzinfo) if until.tzinfo is None else until
    except (ValueError, OverflowError) as error:
        raise BadInputError(
            f"--until: {text!r} is no date.",
            "Write a date such as 2027-01-31, a moment such as 2027-01-31T18:00, or 30m, 12h, 3d, 2w from now.",
        ) from error
    if until <= now:
        raise BadInputError(
            f"--until: {text} is over already.", "Name a time that is still to come.", code="until_past"
        )
    if until - now > _LONGEST:
        raise BadInputError(f"--until: {text} is more than ten years away.", "Leave --until out for ever.")
    return until.astimezone(UTC)


def local_time(text: str | None) -> str:
    """Write a moment of the service as people here read it; midnight as the end of the day that ends."""
    if not text:
        return ""
    moment = datetime.fromisoformat(text).astimezone()
    if (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return (moment - timedelta(days=1)).strftime("the end of %d %b %Y %Z")
    return moment.strftime("%d %b %Y %H:%M %Z")


def _state(user: dict[str, Any]) -> Text:
    if not user["enabled"]:
        return Text(f"suspended: {user['suspended']}" if user["suspended"] else "switched off", style="red")
    return Text("administrator" if user["administrator"] else "enabled", style="green")


def _until(user: dict[str, Any]) -> str:
    return f"{local_time(user['until'])}, then {user['until_profile'] or 'none'}" if user["until"] else ""


@users.command("list")
@click.option("--search", default="", help="Only people with this in name or e-mail.")
@data_option
@json_option
def list_(search: str, data: Path, *, as_json: bool) -> None:
    """List people with their profiles."""
    accounts = service(data)
    found: list[dict[str, Any]] = []
    while True:
        page = accounts.ask("GET", "/users", params={"search": search, "first": len(found), "max": 100})
        found += page["users"]
        if not page["more"]:
            break
    if as_json:
        click.echo(json.dumps({"users": found}, indent=1))
        return
    table = Table("user", "name", "profile", "until", "state")
    for user in found:
        table.add_row(
            Text(user["name"]),
            Text(user["full_name"]),
            Text(user["profile"] or "none"),
            Text(_until(user)),
            _state(user),
        )
    Console().print(table if found else Text("Nobody."))


@users.command()
@click.argument("user")
@data_option
@json_option
def show(user: str, data: Path, *, as_json: bool) -> None:
    """Show one person: account, groups, profile."""
    found = service(data).user("GET", user)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    table = Table.grid(padding=(0, 2))
    rows = (
        ("user", Text(found["name"])),
        ("name", Text(found["full_name"])),
        ("e-mail", Text(found["email"] or "")),
        ("state", _state(found)),
        ("profile", Text(", ".join(found["profiles"]) or "none")),
        ("until", Text(_until(found) or ("for good" if found["profiles"] else "-"))),
        ("groups", Text(", ".join(found["groups"]) or "none")),
    )
    for heading, value in rows:
        table.add_row(Text(heading, style="bold"), value)
    Console().print(table)


@users.command()
@click.argument("user")
@click.argument("profile")
@click.option(
    "--until", help="Go back by itself after this date (2027-01-31), moment, or span: 30m, 12h, 3d, 2w."
)
@data_option
@json_option
def move(user: str, profile: str, until: str | None, data: Path, *, as_json: bool) -> None:
    """Give a person another profile; servers that run follow at once."""
    ends = read_until(until, datetime.now().astimezone()) if until else None
    body = {"profile": profile} | ({"until": ends.isoformat()} if ends else {})
    answer = service(data).user("POST", user, "move", json=body)
    there = answer["user"]
    what = f"the profile {there['profile']}" if there["profile"] else "no profile"
    after = f" until {_until(there)}" if there["until"] else ""
    done = f"{there['name']} now has {what}{after}."
    if not there["enabled"]:
        done += " The account is suspended, so nothing starts until it is resumed."
    _report(answer, done, as_json=as_json)


@users.command()
@click.argument("user")
@click.option("--reason", required=True, help="Why; noted in Keycloak and in the audit log.")
@data_option
@json_option
def suspend(user: str, reason: str, data: Path, *, as_json: bool) -> None:
    """Switch an account off and end all that it runs; files stay."""
    if not reason.strip():
        raise BadInputError("--reason is empty.", 'Say why in a few words: --reason "left the institute".')
    if not as_json:
        click.echo(f"Ending what {user} runs; this may take some seconds …", err=True)
    answer = service(data).user("POST", user, "suspend", json={"reason": reason})
    there, before = answer["user"], answer.get("before") or {}
    done = f"{there['name']} is suspended; files are kept."
    if not before.get("enabled", True):
        was = f" ({before['suspended']})" if before.get("suspended") else ""
        done = f"{there['name']} was suspended already{was}. The reason noted is now: {there['suspended']}."
    _report(answer, done, as_json=as_json)


@users.command()
@click.argument("user")
@data_option
@json_option
def resume(user: str, data: Path, *, as_json: bool) -> None:
    """Switch a suspended account on again."""
    answer = service(data).user("POST", user, "resume", json={})
    _report(answer, f"{answer['user']['name']} may log in and start servers again.", as_json=as_json)


def _report(answer: dict[str, Any], done: str, *, as_json: bool) -> None:
    """Say what was done and what it reached."""
    if as_json:
        click.echo(json.dumps(answer, indent=1))
        return
    click.echo(done)
    reached = answer["reached"]
    for one in reached["actions"]:
        click.echo(f"  server {one['server'] or 'default'}: {_became(one)}")
    if reached["clusters_stopped"]:
        click.echo(f"  Dask clusters ended: {reached['clusters_stopped']}")
    for problem in reached["problems"]:
        what = "note" if problem["code"] == "not_recorded" else "not done yet, and tried again"
        click.echo(f"  {what}: {problem['message']}", err=True)


def _became(action: dict[str, Any]) -> str:
    """Say what became of a server, to whoever asked for it; the message of the action is for its person."""
    kind, code = action["kind"], action.get("code")
    text = _BECAME.get((kind, None)) or _BECAME.get((kind, code))
    if text is None:
        return f"{kind}: {action['message']}"
    if kind == "announced" and not action.get("to_bytes"):
        text = "keeps {before} until {at} and is stopped then."
    before, after = (format_bytes(int(action.get(key) or 0)) for key in ("from_bytes", "to_bytes"))
    return text.format(before=before, after=after, at=local_time(action.get("at")))


_BECAME = {
    ("resized", None): "has {after} now, before {before}; what runs goes on.",
    ("announced", None): "keeps {before} until {at}, and is stopped then unless it uses less than {after}.",
    ("stopped", None): "was stopped; its person was told why.",
    ("kept", "starting"): "is just starting or stopping, and follows then.",
    ("kept", "no_room"): "keeps {before}: the machine has no room for {after} now. It is tried again.",
}
"""By kind and code of what was done; None for any code."""


for _command in erasing.COMMANDS:
    users.add_command(_command)
