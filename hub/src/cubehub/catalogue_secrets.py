"""Whether servers are given the keys and passwords that the list of catalogues names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from traitlets.config import LazyConfigValue

from cubehub.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPAWNERS = ("Spawner", "LocalProcessSpawner", "ProfileLocalSpawner")
_KINDS = ("value", "password", "client_secret")
"""Of what a log-in needs, written NAME_env or NAME_file."""


def missing_secrets(file: Path, config: Any) -> list[Finding]:
    """Name the secrets that a catalogue's log-in needs and that no server has, with the catalogue.

    Parameters
    ----------
    file
        The list of catalogues, which its own reader has looked at.
    config
        Content of `jupyterhub_config.py`, with all that it includes.
    """
    given, kept = _environment(config)
    found = []
    for id_, key, name in _named(file):
        if key.endswith("_env"):
            if str(given.get(name) or "").strip() or name in kept:
                continue
            what = f"{key} names {name}, which servers don't have or which is empty"
            hint = f'c.ProfileLocalSpawner.extra_env["{name}"] = … in jupyterhub_config.py.'
        else:
            if _has_text(Path(name)):
                continue
            what = f"{key} names {name}, which is not there, is empty or can't be read"
            hint = "Write the secret into it, and name it in c.ProfileLocalSpawner.read_only_paths."
        found.append(
            Finding("problem", "catalogue_secret", f"The log-in of the catalogue {id_} fails: {what}.", hint)
        )
    return found


def _named(file: Path) -> Iterator[tuple[str, str, str]]:
    """Give catalogue, key and name of each secret; a file that can't be read is told elsewhere."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return
    entries = content.get("catalogues") if isinstance(content, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        auth = entry.get("auth") if isinstance(entry, dict) else None
        if not isinstance(auth, dict):
            continue
        for kind in _KINDS:
            for key in (f"{kind}_env", f"{kind}_file"):
                if isinstance(auth.get(key), str):
                    yield str(entry.get("id")), key, auth[key]


def _environment(config: Any) -> tuple[dict[str, Any], set[str]]:
    """Give the variables that servers are given, and the names of those that they have from the Hub."""
    given: dict[str, Any] = {}
    kept: set[str] = set()
    for name in _SPAWNERS:
        section = config.get(name) or {}
        for trait in ("environment", "extra_env"):
            values = _whole(section.get(trait), {})
            given |= dict(values) if isinstance(values, dict) else {}
        names = _whole(section.get("env_keep"), [])
        kept |= set(names) if isinstance(names, list) else set()
    return given, kept


def _whole(value: Any, initial: Any) -> Any:
    """Give what was set, or what was added to the default by ``c.Spawner.env_keep.append``."""
    return value.get_value(initial) if isinstance(value, LazyConfigValue) else value


def _has_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(file.readline(65536).strip())
    except OSError:
        return False
