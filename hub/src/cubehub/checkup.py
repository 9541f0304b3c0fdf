"""Whether the platform of a data folder is well: what `cubehub doctor` looks at without a USER."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from cubehub_spawner.enforcers import choose
from cubehub_spawner.errors import NoEnforcerError, SpawnerError
from cubehub_spawner.isolation import probe_isolation
from cubehub_spawner.profiles import load_profiles
from traitlets.config import PyFileConfigLoader

from cubehub.accounts.people import written
from cubehub.catalogue_list import FILE, check_catalogues, check_folders
from cubehub.cube_list import check_cubes
from cubehub.errors import BadInputError, CubeHubError
from cubehub.findings import Finding
from cubehub.keycloak.realm import ACCOUNTS_CLIENT, ACCOUNTS_SECRET, DIRECTORY_CLIENT, DIRECTORY_SECRET, REALM
from cubehub.local.data_folder import read_json, typed
from cubehub.local.platform import LOOPBACK
from cubehub.settings import ConfigFolder
from cubehub.storage import checkup
from cubehub.storage.quotas import find
from cubehub.unsafe import unsafe_settings

if TYPE_CHECKING:
    from cubehub.local.data_folder import DataFolder

_TIMEOUT_S = 5.0


def check_up(data: DataFolder, status: dict[str, Any]) -> list[Finding]:
    """Look at parts, limits, isolation, Keycloak, service accounts and settings.

    Parameters
    ----------
    status
        As `cubehub status --json` tells it.
    """
    found = parts(status, str(data.root), typed("up", data.root))
    if status["running"]:
        found += _reconciler(data)
        found += service_accounts(str(data.state().get("keycloak_url")), data.secrets)
    found.append(enforcer(data.servers))
    found.append(isolation())
    found.append(home_limits(data.homes))
    found.append(profiles(_config(data).path("profiles.yaml")))
    found.append(cubes(data))
    found.append(catalogues(data))
    found += checkup.findings(data)
    found += settings(data)
    return found


def parts(status: dict[str, Any], where: str, start: str) -> list[Finding]:
    """Tell which parts are not healthy."""
    if not status["running"]:
        return [Finding("problem", "not_running", f"CubeHub on {where} does not run.", f"Start it: {start}")]
    ill = {name: part["health"] for name, part in status["parts"].items() if part["health"] != "healthy"}
    if not ill:
        return [Finding("ok", "parts", f"All {len(status['parts'])} parts are healthy.")]
    return [
        Finding("problem", "part", f"The part {name} is {health}.", f"`cubehub logs {name}` says why.")
        for name, health in ill.items()
    ]


def service_accounts(keycloak_url: str, secrets: Path) -> list[Finding]:
    """Tell whether Keycloak answers and takes the log-ins of the platform's own accounts."""
    found = []
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
        for name, file, what in (
            (DIRECTORY_CLIENT, DIRECTORY_SECRET, "looks people up"),
            (ACCOUNTS_CLIENT, ACCOUNTS_SECRET, "moves and suspends"),
        ):
            try:
                login = {
                    "grant_type": "client_credentials",
                    "client_id": name,
                    "client_secret": (secrets / file).read_text().strip(),
                }
                url = f"{keycloak_url}/realms/{REALM}/protocol/openid-connect/token"
                answer = client.post(url, data=login)
            except httpx.HTTPError as error:
                message = f"Keycloak does not answer at {keycloak_url}: {error}."
                return [Finding("problem", "keycloak", message, "`cubehub logs keycloak` says more.")]
            except OSError as error:
                message = f"The secret {file} can't be read: {error.strerror}."
                found.append(Finding("problem", "secret", message, "Be the user who runs CubeHub."))
                continue
            if answer.is_success:
                found.append(
                    Finding("ok", "service_account", f"Keycloak takes the log-in of {name} ({what}).")
                )
            else:
                message = f"Keycloak refuses the log-in of {name} ({answer.status_code}), which {what}."
                hint = "Look at the client in Keycloak; `cubehub down`, then `cubehub up` renews its secret."
                found.append(Finding("problem", "service_account", message, hint))
    return found


def enforcer(state_dir: Path) -> Finding:
    """Tell what holds servers to their memory."""
    try:
        name = choose(state_dir).name
    except NoEnforcerError as error:
        return Finding("problem", "no_enforcer", error.message, error.hint)
    if name == "watchdog":
        message = "Servers are held to their memory by the watchdog, which looks ten times a second and can be passed for a moment."
        return Finding("note", "enforcer", message, "With people you don't trust, give CubeHub a cgroup.")
    return Finding("ok", "enforcer", f"Servers are held to their memory by {name}.")


def isolation() -> Finding:
    """Tell what keeps servers apart."""
    found = probe_isolation()
    if found.kind == "none":
        message = f"Servers are not shut into their homes: {found.reason}."
        return Finding("problem", "no_isolation", message, "Install bubblewrap.")
    if found.kind == "uid":
        message = "Each person's servers run under a user id of their own; programs and command lines are seen by all."
        return Finding("note", "isolation", message, "Bubblewrap would keep them further apart.")
    return Finding("ok", "isolation", f"Servers are shut into their homes by {found.kind}.")


def home_limits(homes: Path) -> Finding:
    """Tell what holds homes to their size."""
    found = find(homes)
    if found.limits and found.backend.caution:
        message = f"Homes are held to their size by {found.backend.name}. {found.backend.caution}"
        return Finding(
            "note", "home_limits", message, "docs/how-to/admin.md tells what other file systems can do."
        )
    if found.limits:
        return Finding("ok", "home_limits", f"Homes are held to their size by {found.backend.name}.")
    message = "Nothing holds homes to the storage of their profile: one person can fill the disk."
    return Finding("note", "no_home_limits", message, "`cubehub storage quotas` tells why, and what to do.")


def settings(data: DataFolder) -> list[Finding]:
    """Tell which settings of the operator's own take protection away."""
    if read_json(data.run / "hub.json") is None:
        return []
    file = _config(data).path("jupyterhub_config.py")
    # as the Hub is told where its settings are; a command does nothing else in its process
    os.environ["CUBEHUB_HUB_CONFIG"] = str(data.run / "hub.json")
    try:
        content = PyFileConfigLoader(file.name, str(file.parent)).load_config()
    except Exception as error:  # noqa: BLE001 - whatever an operator's file does
        message = f"{file} can't be read as the Hub does: {error}"
        return [Finding("problem", "settings", message, "Mend it; the Hub would not start with it.")]
    return unsafe_settings(content) or [Finding("ok", "settings", "No setting takes protection away.")]


def profiles(file: Path) -> Finding:
    """Tell whether the profiles can be read, and if not the line that is wrong."""
    try:
        found = load_profiles(file)
    except SpawnerError as error:
        message = f"The profiles can't be read, so no server starts, and people are suspended but not moved: {error.message}"
        return Finding("problem", "profile_file", message, error.hint)
    return Finding("ok", "profiles", f"The profiles can be read: {', '.join(found.profiles)}.")


def cubes(data: DataFolder) -> Finding:
    """Tell whether the list of cubes can be read, and if not what is wrong."""
    python = data.envs / "cubes" / "bin" / "python"
    try:
        check_cubes(python, _config(data).path("cubes.yaml"))
    except BadInputError as error:
        message = f"The list of cubes can't be read, so its last changes are not shown, and the next start fails: {error.message}"
        return Finding("problem", "cubes_file", message, error.hint)
    except CubeHubError as error:
        return Finding("problem", error.code, error.message, error.hint)
    except OSError as error:
        return Finding(
            "note",
            "cubes_file",
            f"The list of cubes could not be looked at: {error}",
            "Run `cubehub up` once.",
        )
    return Finding("ok", "cubes", "The list of cubes can be read.")


def catalogues(data: DataFolder) -> Finding:
    """Tell whether the list of catalogues can be read, and if not what is wrong."""
    python = data.envs / "lab" / "bin" / "python"
    try:
        check_catalogues(python, _config(data).path(FILE))
        check_folders(data, _config(data))
    except BadInputError as error:
        message = f"The list of catalogues can't be read, so servers that start anew search none, and the next start fails: {error.message}"
        return Finding("problem", "catalogues_file", message, error.hint)
    except CubeHubError as error:
        return Finding("problem", error.code, error.message, error.hint)
    except OSError as error:
        return Finding(
            "note",
            "catalogues_file",
            f"The list of catalogues could not be looked at: {error}",
            "Run `cubehub up` once.",
        )
    return Finding("ok", "catalogues", "The list of catalogues can be read.")


def _config(data: DataFolder) -> ConfigFolder:
    """Give the folder of settings that the platform was started with last."""
    own = (read_json(data.run / "hub.json") or {}).get("config")
    return ConfigFolder(Path(own) if own else None)


def _reconciler(data: DataFolder) -> list[Finding]:
    port = (read_json(data.run / "ports.json") or {}).get("accounts")
    url = f"http://{LOOPBACK}:{port}/services/accounts/health"
    try:
        state = httpx.get(url, timeout=_TIMEOUT_S, trust_env=False).json()["reconciler"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        message = "The accounts service does not answer, so nothing that runs follows a change of group."
        return [Finding("problem", "accounts", message, "`cubehub logs accounts` says more.")]
    if not state["problems"]:
        return [
            Finding(
                "ok", "accounts", f"What runs was compared with Keycloak at {written(state['last_round'])}."
            )
        ]
    if "profile_file" in state["problems"].values():
        message = "What runs does not follow Keycloak while the profiles can't be read."
        return [Finding("problem", "accounts", message, "Nothing is ended by that. See profiles, below.")]
    codes = ", ".join(f"{where}: {code}" for where, code in state["problems"].items())
    message = f"What runs can't be compared with Keycloak wholly ({codes})."
    return [Finding("problem", "accounts", message, "`cubehub logs accounts` says why.")]
