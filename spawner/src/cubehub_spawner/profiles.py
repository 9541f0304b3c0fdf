"""The profiles file: RAM, CPU, storage and Dask budget under one name, and who gets it."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from cubehub_spawner.errors import ProfileFileError

_SUFFIXES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)")


def parse_bytes(value: object) -> int:
    """Read a size as JupyterHub's byte suffixes do: ``5G`` is 5 GiB, a bare number is bytes.

    Raises
    ------
    ValueError
        When it is no size; the text says what one looks like.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("write a size as 512M, 5G or 1T (powers of 1024), or a whole number of bytes")
    return int(float(found[1]) * _SUFFIXES[found[2]])


_LARGEST = 2**50
"""1024T: more is a slip of the pen."""
Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0, le=_LARGEST)]


_LEAST_MEMORY = 128 * 2**20
"""A server that nobody uses takes about 90 MB; with less than this none would start."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DaskBudget(_Strict):
    """What one person may have on Dask Gateway, over all their clusters."""

    clusters: int = Field(default=0, ge=0)
    """Clusters at once; 0 for no Dask."""
    cores: float = Field(default=0, ge=0)
    """Worker cores in one cluster."""
    memory: Annotated[int, BeforeValidator(parse_bytes), Field(ge=0)] = 0
    """Worker memory in one cluster, in bytes."""


class Profile(_Strict):
    """One line of the profiles file."""

    name: str = Field(default="", pattern=r"^[a-z0-9][a-z0-9-]{0,29}$|^$")
    """The key in the file; filled in by `Profiles`."""
    title: str = Field(min_length=1)
    """As people read it."""
    groups: frozenset[str] = Field(min_length=1)
    """Group paths, any one of which grants this profile."""
    memory: Annotated[int, BeforeValidator(parse_bytes), Field(ge=_LEAST_MEMORY, le=_LARGEST)]
    """RAM of a server, in bytes."""
    cpu: float = Field(gt=0, le=1024)
    """Cores of a server."""
    storage: Bytes
    """Home folder, in bytes."""
    dask: DaskBudget = DaskBudget()
    """Budget on Dask Gateway; none unless said."""


class Profiles(_Strict):
    """All profiles, in the order of the file."""

    profiles: dict[str, Profile] = Field(min_length=1)
    """Profile by name."""

    @model_validator(mode="before")
    @classmethod
    def _name_each(cls, data: Any) -> Any:
        """Give each profile its key as name, so that one object says all."""
        if not isinstance(data, dict) or not isinstance(data.get("profiles"), dict):
            return data
        named = {
            key: {**value, "name": str(key)} if isinstance(value, dict) else value
            for key, value in data["profiles"].items()
        }
        return {**data, "profiles": named}


def load_profiles(path: Path | str) -> Profiles:
    """Read the profiles file.

    Raises
    ------
    ProfileFileError
        When the file can't be read or understood; names the file, the line and the value.
    """
    path = Path(path)
    try:
        facts = path.stat()
    except OSError as error:
        raise ProfileFileError(f"{path}: {error.strerror or error}") from error
    return _load(path, (facts.st_mtime_ns, facts.st_size, facts.st_ino))


@lru_cache(maxsize=4)
def _load(path: Path, _version: tuple[int, int, int]) -> Profiles:
    """Read the file once for each version of it: YAML takes longer to read than all else that a decision needs."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except OSError as error:
        raise ProfileFileError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ProfileFileError(f"{path}: not a UTF-8 text file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ProfileFileError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from error
    try:
        return Profiles.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = [part for part in first["loc"] if isinstance(part, str | int)]
        said = first["msg"].removeprefix("Value error, ")
        raise ProfileFileError(
            f"{path}, line {_line(node, where)}: {'.'.join(map(str, where)) or 'the file'}: "
            f"{_shown(first['input'])}: {said}"
        ) from error


def _shown(value: object) -> str:
    """Show the value that was wrong, short enough for one line."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _line(node: yaml.Node | None, where: list[str | int]) -> int:
    """Find the line of the deepest part of `where` that is in the file."""
    line = node.start_mark.line + 1 if node else 1
    for part in where:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == str(part)]
            if not pairs:
                break
            line, node = pairs[-1][0].start_mark.line + 1, pairs[-1][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
