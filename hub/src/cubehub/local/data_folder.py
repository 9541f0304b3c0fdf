"""The data folder of one machine: its places, its version, its lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shlex
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub.errors import BadInputError, CubeHubError
from cubehub.local.processes import this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYOUT = 1
"""Version of the folder's layout; another number means another CubeHub made it."""


_AWKWARD = re.compile(r"[:;?#%*\\\"'\x00-\x1f\x7f\ud800-\udfff]")
"""What a path may not have: it goes into PATH, a Java class path, a database address and `#!` lines."""

_COMMAND = re.compile(r"`cubehub ((?:(?!--data)[^`])+)`")
"""A command as texts name it, without a folder."""


def default_data() -> Path:
    """Where the data live when nobody says otherwise: the user's data folder (XDG)."""
    return _user_folder("XDG_DATA_HOME", ".local/share") / "cubehub"


def typed(command: str, root: Path) -> str:
    """A `cubehub` command as the person can type it here: through uv if that started us, with the folder it is about."""
    program = "uv run cubehub" if "UV" in os.environ else "cubehub"
    own = "" if root == default_data() else f" --data {shlex.quote(str(root))}"
    return f"{program} {command}{own}"


def runnable(text: str, root: Path) -> str:
    """Write the commands that a text names in backticks as the person can type them here.

    Notes
    -----
    Parts of the platform name commands without knowing where the person sits who reads it.
    """
    return _COMMAND.sub(lambda found: f"`{typed(found[1], root)}`", text)


def cache_folder() -> Path:
    """Where fetched packages are kept for all data folders: the user's cache folder (XDG)."""
    return _user_folder("XDG_CACHE_HOME", ".cache") / "cubehub"


def _user_folder(variable: str, below_home: str) -> Path:
    said = Path(os.environ.get(variable, ""))
    # the XDG specification: a path that is not absolute is to be ignored
    return said if said.is_absolute() else full_path(Path("~") / below_home)


def full_path(path: Path) -> Path:
    """Give the absolute path, with ``~`` and links resolved.

    Raises
    ------
    BadInputError
        The home folder it begins with is not known, or it is a loop of links.
    """
    try:
        return path.expanduser().resolve()
    except (RuntimeError, OSError) as error:
        raise BadInputError(
            f"{path} leads nowhere: {error}", "Set HOME, or name a folder by its full path with --data."
        ) from error


def write_json(path: Path, content: object) -> None:
    """Write a 0600 file in one step, so that a reader sees the old or the new, never a half."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file, indent=1)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """Content of a JSON file, or None where there is none (or only rubbish, as after a power cut)."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


@dataclass(frozen=True)
class DataFolder:
    """Everything one `cubehub up` keeps, below one folder."""

    root: Path

    _FOLDERS = (
        "secrets",
        "run",
        "envs",
        "keycloak",
        "node",
        "hub",
        "homes",
        "servers",
        "cubes",
        "gateway",
        "storage",
        "logs",
    )

    def __getattr__(self, name: str) -> Path:
        if name in self._FOLDERS or name == "catalogue":
            return self.root / name
        raise AttributeError(name)

    @property
    def folders(self) -> list[Path]:
        """Give its places, each of which may be a link to another disk."""
        return [self.root / name for name in (*self._FOLDERS, "catalogue")]

    @property
    def state_file(self) -> Path:
        """What runs, written by the supervisor."""
        return self.root / "state.json"

    @property
    def accounts_file(self) -> Path:
        """The demo accounts and their passwords; mode 0600."""
        return self.root / "accounts.txt"

    @cached_property
    def run_id(self) -> str:
        """Identifies this folder's processes among all others on the machine."""
        return str((read_json(self.root / "version.json") or {})["id"])

    def is_made(self) -> bool:
        """Whether an earlier `cubehub up` made this folder.

        Raises
        ------
        BadInputError
            One of another version did, or the file that says so cannot be read.
        """
        file = self.root / "version.json"
        version = read_json(file)
        if version is None:
            try:
                there = file.exists()
            except OSError:  # not even the folder may be looked into; making it will say why
                there = False
            if there:
                raise BadInputError(
                    f"{file} cannot be read: it belongs to another user, or is damaged.",
                    "Run the command as the folder's owner, or name another folder with --data. Nothing was changed.",
                    code="data_folder_damaged",
                )
            return False
        if version.get("layout") != LAYOUT or not isinstance(version.get("id"), str):
            raise BadInputError(
                f"{self.root} was made by a CubeHub with data layout {version.get('layout')}; this one has {LAYOUT}.",
                "Use that version of CubeHub, or name another folder with --data. Nothing was changed.",
                code="data_folder_version",
            )
        return True

    def check(self) -> None:
        """Refuse a path that cannot become a data folder; nothing is made.

        Raises
        ------
        BadInputError
            The path would be misread, the folder is somebody else's, has another layout, or cannot be looked at.
        """
        if found := _AWKWARD.search(str(self.root)):
            raise BadInputError(
                f"The data folder's path {str(self.root)!r} has the character {found[0]!r}, which Java or a database would misread.",
                "Name a folder without quotes and without : ; ? # % * \\ in its path with --data.",
                code="data_folder_name",
            )
        try:
            if self.root.exists():
                with self._alone():
                    self._refuse_foreign()
        except OSError as error:
            raise self._unusable(error) from error

    def prepare(self) -> None:
        """Make the folder and its places; refuse one that another version, or something else, made.

        Raises
        ------
        BadInputError
            As in `check`, or the folder cannot be written.
        """
        self.check()
        try:
            if not self.is_made():
                self._name()
            for name in self._FOLDERS:
                (self.root / name).mkdir(mode=0o700, exist_ok=True)
            (self.root / "catalogue").mkdir(mode=0o711, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def _refuse_foreign(self) -> None:
        if not self.is_made() and any(self.root.iterdir()):
            raise BadInputError(
                f"{self.root} is not empty and not a CubeHub data folder.",
                "Name an empty or new folder with --data.",
                code="data_folder_foreign",
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep off the folder while another start makes its version and id."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _name(self) -> None:
        """Make the folder's version and id, once: of two that start together, one would look for processes the other does not have."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if self.is_made():
                return
            self._refuse_foreign()
            # others may pass through (PostgreSQL runs as its own user), not look around
            self.root.chmod(0o711)
            write_json(self.root / "version.json", {"layout": LAYOUT, "id": uuid.uuid4().hex})

    def _unusable(self, error: OSError) -> BadInputError:
        return BadInputError(
            f"Cannot use {self.root} as data folder: {error.strerror}.",
            "Name a folder you can write to with --data.",
            code="data_folder_unusable",
        )

    def lock(self) -> int:
        """Take the folder for this `up`; the descriptor holds the lock until it is closed.

        Raises
        ------
        CubeHubError
            Another `cubehub up` holds it.
        BadInputError
            The folder can be read but not written.
        """
        try:
            descriptor = os.open(self.root / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise CubeHubError(
                f"CubeHub already runs on {self.root}.",
                f"See `{typed('status', self.root)}`; stop it with `{typed('down', self.root)}`; "
                "or start a second one with another --data and --port.",
                code="already_running",
            ) from error
        self.hold(descriptor)
        return descriptor

    def hold(self, descriptor: int) -> None:
        """Write into the lock who holds it: `state.json` may get lost while it runs."""
        # on a full disk there is still state.json
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(this_process()).encode(), 0)

    def state(self) -> dict[str, Any]:
        """What the supervisor wrote last; `up` names its process, or is missing where nobody ever started."""
        state = read_json(self.state_file) or {}
        parts = state.get("parts")
        if not isinstance(parts, dict) or not all(isinstance(part, dict) for part in parts.values()):
            state["parts"] = {}
        for up in (state.get("up"), read_json(self.root / "up.lock")):
            if _is_process(up):
                return {**state, "up": up}
        return {**state, "up": None}


def _is_process(value: Any) -> bool:
    """Whether this is what `this_process` gives."""
    if not isinstance(value, dict):
        return False
    pid, created = value.get("pid"), value.get("created")
    return isinstance(pid, int) and pid > 0 and isinstance(created, int | float)
