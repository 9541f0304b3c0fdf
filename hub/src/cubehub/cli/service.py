"""How the command reaches the accounts service: on this machine by the data folder, elsewhere by address and token."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
import httpx

from cubehub.cli.common import existing
from cubehub.errors import BadInputError, CubeHubError
from cubehub.local.data_folder import read_json, typed
from cubehub.local.platform import LOOPBACK
from cubehub.local.processes import same_process

if TYPE_CHECKING:
    from pathlib import Path

CLI_TOKEN = "cli-token"  # noqa: S105 - the name of the file, not the secret
_TIMEOUT_S = 120
"""A change waits until servers and clusters have ended."""
_BAD_INPUT = frozenset({"bad_input", "unknown_profile", "unknown_account", "until_past", "same_profile"})
"""Codes of the service that are about what was typed."""


@dataclass(frozen=True)
class Service:
    """The accounts service, with a token for it."""

    url: str
    token: str
    where: str
    """As people know it."""
    hint: str
    """What to do when it does not answer."""

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """Send a request and give the JSON of its answer.

        Raises
        ------
        CubeHubError
            It does not answer, or refuses; the message is the service's own.
        """
        headers = {"Authorization": f"token {self.token}"}
        try:
            # trust_env would send the token through a proxy that the machine has set
            answer = httpx.request(
                method, self.url + path, headers=headers, timeout=_TIMEOUT_S, trust_env=False, **more
            )
        except httpx.TimeoutException as error:
            raise CubeHubError(
                f"CubeHub {self.where} did not answer within {_TIMEOUT_S} s.",
                "What was begun goes on; look again in a minute.",
                code="timeout",
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CubeHubError(
                f"CubeHub {self.where} does not answer.", self.hint, code="not_running"
            ) from error
        try:
            content = answer.json()
        except ValueError:
            content = None
        if answer.is_success and content is not None:
            return content
        if not isinstance(content, dict) or "message" not in content:
            raise CubeHubError(
                f"CubeHub {self.where} answered with {answer.status_code}.", self.hint, code="not_running"
            )
        code = str(content.get("code", "failure"))
        kind = BadInputError if code in _BAD_INPUT else CubeHubError
        raise kind(str(content["message"]), str(content.get("hint", "")), code=code)

    def user(self, method: str, name: str, action: str = "", **more: Any) -> Any:
        """Send a request about a person; for a name that is nobody's, names that are like it are told."""
        path = f"/users/{quote(name, safe='')}" + (f"/{action}" if action else "")
        try:
            return self.ask(method, path, **more)
        except CubeHubError as error:
            if error.code == "unknown_account" and (like := self._like(name)):
                raise BadInputError(error.message, f"Did you mean {like}?", code=error.code) from error
            raise

    def _like(self, name: str) -> str:
        try:
            found = self.ask("GET", "/users", params={"max": 100})["users"]
            found += self.ask("GET", "/users", params={"max": 20, "search": name})["users"]
        except CubeHubError:
            return ""
        for one in found:
            if name.lower() == str(one.get("email") or "").lower():
                return str(one["name"])
        names = list(dict.fromkeys(str(one["name"]) for one in found))
        return " or ".join(difflib.get_close_matches(name.lower(), names, n=3))


def elsewhere() -> tuple[str, str] | None:
    """Give address and token of a platform on another machine, where the environment names one and --data does not.

    Raises
    ------
    BadInputError
        One of the two is set, without the other.
    """
    named = click.get_current_context().get_parameter_source("data")
    url, token = os.environ.get("CUBEHUB_URL"), os.environ.get("CUBEHUB_TOKEN")
    if named is not click.core.ParameterSource.DEFAULT or not (url or token):
        return None
    if not url or not token:
        has, lacks = ("CUBEHUB_URL", "CUBEHUB_TOKEN") if url else ("CUBEHUB_TOKEN", "CUBEHUB_URL")
        raise BadInputError(
            f"{has} is set, and {lacks} is not.",
            "Set both: the platform's address, and a token that an administrator made on the Hub's page Token. "
            "For a platform on this machine unset it, or give --data.",
        )
    return url, token


def service(data: Path) -> Service:
    """Find the accounts service.

    Raises
    ------
    BadInputError
        There is no data folder, and no address is set either.
    CubeHubError
        The platform of the data folder does not run.
    """
    if there := elsewhere():
        url, token = there
        return Service(
            f"{url.rstrip('/')}/services/accounts/api",
            token,
            f"at {url}",
            "Look at CUBEHUB_URL, and whether the platform there runs.",
        )
    port, kept = on_this_machine(data, "accounts")
    folder = existing(data)
    hint = f"It may be just starting: `{typed('status', folder.root)}` shows each part."
    return Service(f"http://{LOOPBACK}:{port}/services/accounts/api", kept, f"on {folder.root}", hint)


def on_this_machine(data: Path, part: str) -> tuple[int, str]:
    """Give the port of a part that runs here, and the token by which its operator speaks to it.

    Raises
    ------
    BadInputError
        There is no such data folder.
    CubeHubError
        It does not run, or the token is not to be read.
    """
    folder = existing(data)
    up = folder.state()["up"]
    start = f"Start it with `{typed('up', folder.root)}`."
    if up is None or same_process(up["pid"], up["created"]) is None:
        raise CubeHubError(f"CubeHub on {folder.root} does not run.", start, code="not_running")
    port = (read_json(folder.run / "ports.json") or {}).get(part)
    try:
        kept = (folder.secrets / CLI_TOKEN).read_text().strip()
    except OSError:
        kept = ""
    if not kept or not port:
        raise CubeHubError(
            f"The token of this command in {folder.secrets} is missing or not yours to read.",
            f"Run the command as the user who runs CubeHub. Else: {typed('down', folder.root)}, then {typed('up', folder.root)}.",
            code="no_token",
        )
    return int(port), kept


def operator_address(data: Path) -> tuple[str, str]:
    """Give the address of the cube server that runs here, and the operator's token.

    Raises
    ------
    BadInputError, CubeHubError
        As `on_this_machine`.
    """
    port, token = on_this_machine(data, "cubes")
    return f"http://{LOOPBACK}:{port}/services/cubes", token
