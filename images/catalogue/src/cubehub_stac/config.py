"""The service's configuration, as `cubehub up` writes it into DATA/run/catalogue.json."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cubehub_stac.files import FileFolder

log = logging.getLogger("cubehub_stac")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class ConfigError(Exception):
    """The configuration can't be used; the text says what is wrong, `hint` what to do."""

    def __init__(
        self, message: str, hint: str = "`cubehub up` writes this file; start the service through it"
    ) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Config:
    """Where the service listens, what it calls itself, what it offers."""

    address: str
    """Address to listen on, normally 127.0.0.1."""
    port: int
    prefix: str
    """Path everything is served under, without a slash at its end: /services/catalogue."""
    public_url: str
    """What people type before the prefix, without a slash at its end: http://127.0.0.1:8000."""
    state_dir: Path
    """Folder for the database; private to the service."""
    items: tuple[str, ...]
    """Folders or files with STAC items and collections."""
    files: dict[str, Path] = field(default_factory=dict)
    """Folders whose files items may point to, by the name they have in addresses."""
    static_only: bool = False
    """Serve the static catalogue even where PostgreSQL is installed."""
    title: str = "CubeHub catalogue"
    hub_api_url: str = ""
    """The Hub's API, which says who sends a request; empty: nobody can log in."""
    hub_api_token: str = field(default="", repr=False)
    """This service's token there."""
    shared: tuple[str, ...] = ()
    """Folders with STAC items that are not for everybody, each in a file that says for whom."""
    own_items: int = 1000
    """So many items may one person register."""
    own_bytes: int = 20_000_000
    """So many bytes may they have together."""

    @property
    def own_dir(self) -> Path:
        """Folder of the items that people register."""
        return self.state_dir / "own"

    @property
    def root_url(self) -> str:
        """Address of the catalogue's root, with a slash at its end."""
        return f"{self.public_url}{self.prefix}/"

    @property
    def files_path(self) -> str:
        """Path below which files are given out, with a slash at its end."""
        return f"{self.prefix}/files/"

    @property
    def file_folders(self) -> tuple[FileFolder, ...]:
        """The folders of `files` with their addresses."""
        root = f"{self.public_url}{self.files_path}"
        return tuple(FileFolder(str(path), f"{root}{name}/") for name, path in self.files.items())


def read_config(path: Path) -> Config:
    """Read and check the JSON file.

    Raises
    ------
    ConfigError
        When the file or a value can't be used.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON: {error}") from error
    try:
        prefix = "/" + values.get("prefix", "/services/catalogue").strip("/")
        public_url = values["public_url"].rstrip("/").removesuffix(prefix)
        if not public_url.startswith(("http://", "https://")):
            raise ConfigError(f"{path}: public_url must start with http:// or https://, not {public_url!r}")
        return Config(
            address=values.get("address", "127.0.0.1"),
            port=int(values["port"]),
            prefix=prefix,
            public_url=public_url,
            state_dir=Path(values["state_dir"]),
            items=tuple(str(item) for item in values.get("items", [])),
            files=_folders(values.get("files", {}), path),
            static_only=bool(values.get("static_only", False)),
            title=values.get("title", Config.title),
            hub_api_url=str(values.get("hub_api_url", "")),
            hub_api_token=str(values.get("hub_api_token", "")),
            shared=tuple(str(folder) for folder in values.get("shared", [])),
            own_items=int(values.get("own_items", Config.own_items)),
            own_bytes=int(values.get("own_bytes", Config.own_bytes)),
        )
    except KeyError as error:
        raise ConfigError(f"{path}: {error} is missing") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _folders(given: dict[str, str], config: Path) -> dict[str, Path]:
    folders = {}
    for name, folder in given.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{config}: files: {name!r} is no name for a folder",
                "use letters, digits, dot, hyphen and underscore, a letter or digit first",
            )
        path = Path(folder)
        if not path.is_absolute():
            raise ConfigError(
                f"{config}: files: {name}: {folder} is not the absolute path of a folder",
                "write its full path, or take it out of files",
            )
        if _is_folder(path):
            folders[name] = path
        else:
            # such as a share that is not mounted: the rest of the catalogue does not wait for it
            log.warning(
                "%s: files: %s: %s is no folder now, so its files are not given out until the next start",
                config,
                name,
                folder,
            )
    return folders


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a share whose server is away
        return False
