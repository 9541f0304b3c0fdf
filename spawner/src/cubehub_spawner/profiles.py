"""The profiles file: RAM, CPU, storage and Dask budget under one name, and who gets it."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema  # noqa: TC002 - pydantic reads it

from cubehub_spawner import _yaml
from cubehub_spawner.errors import ProfileFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import yaml

_SUFFIXES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]?)")


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


def _size(least: int) -> tuple[Any, ...]:
    """What makes a number a size: how it is read, its bounds, and both for editors."""
    numbers = {"type": "integer", "minimum": least, "maximum": _LARGEST}
    text = {"type": "string", "pattern": rf"^\s*{_SIZE.pattern}\s*$", "examples": ["512M", "5G"]}
    return (
        BeforeValidator(parse_bytes),
        Field(ge=least, le=_LARGEST),
        WithJsonSchema({"anyOf": [text, numbers]}),
    )


_LEAST_MEMORY = 128 * 2**20
"""A server that nobody uses takes about 90 MB; with less than this none would start."""


_FILLED_IN = frozenset({"name", "groups_in_order"})
"""Fields of a profile that are no keys of the file."""
GroupPath = Annotated[str, Field(pattern=r"^(/[^/]+)+$")]
"""As Keycloak writes it: ``/cubehub/standard``."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DaskBudget(_Strict):
    """What one person may have on Dask Gateway, over all their clusters."""

    clusters: int = Field(default=0, ge=0, strict=True)
    """Clusters at once; 0 for no Dask."""
    cores: float = Field(default=0, ge=0, strict=True, allow_inf_nan=False)
    """Worker cores in one cluster."""
    memory: Annotated[int, *_size(0)] = 0
    """Worker memory in one cluster, in bytes or as 8G (powers of 1024)."""


class Profile(_Strict):
    """One line of the profiles file."""

    name: SkipJsonSchema[str] = Field(default="", pattern=r"^[a-z0-9][a-z0-9-]{0,29}$|^$")
    """The key in the file; filled in by `Profiles`."""
    title: str = Field(min_length=1)
    """As people read it."""
    groups: Annotated[
        frozenset[GroupPath],
        Field(min_length=1),
        WithJsonSchema(
            {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"^(/[^/]+)+$"}}
        ),
    ]
    """Group paths, any one of which grants this profile; a move leads into the first."""
    groups_in_order: SkipJsonSchema[tuple[str, ...]] = ()
    """The same in the order of the file; filled in."""
    memory: Annotated[int, *_size(_LEAST_MEMORY)]
    """RAM of a server, in bytes or as 5G (powers of 1024)."""
    cpu: float = Field(gt=0, le=1024, strict=True, allow_inf_nan=False)
    """Cores of a server."""
    storage: Annotated[int, *_size(1)]
    """Home folder, in bytes or as 10G (powers of 1024)."""
    dask: DaskBudget = DaskBudget()
    """Budget on Dask Gateway; none unless said."""

    @model_validator(mode="before")
    @classmethod
    def _keep_the_order(cls, data: Any) -> Any:
        groups = data.get("groups") if isinstance(data, dict) else None
        if isinstance(groups, set | frozenset):
            groups = sorted(groups)
        if not isinstance(groups, list | tuple):
            return data
        in_order = tuple(dict.fromkeys(group for group in groups if isinstance(group, str)))
        return {**data, "groups_in_order": in_order}

    @property
    def home_group(self) -> str:
        """Path of the group that a move to this profile leads into: the first in the file."""
        return self.groups_in_order[0]


class Profiles(_Strict):
    """All profiles, in the order of the file."""

    profiles: dict[str, Profile] = Field(
        min_length=1, json_schema_extra={"propertyNames": {"pattern": r"^[a-z0-9][a-z0-9-]{0,29}$"}}
    )
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


NO_PROFILES = Profiles.model_construct(profiles={})
"""For what is taken away while the file can't be read: nobody is given anything by these."""


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
        node, data = _yaml.read(path.read_text(encoding="utf-8"))
        _refuse_filled_in(node)
    except OSError as error:
        raise ProfileFileError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ProfileFileError(f"{path}: not a UTF-8 text file") from error
    except _yaml.FileTrouble as error:
        line = f", line {error.line}" if error.line else ""
        raise ProfileFileError(f"{path}{line}: {error.message}") from error
    try:
        return Profiles.model_validate(data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        # a key that is none explains one that is missing
        first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
        where: list[str | int] = [part for part in first["loc"] if isinstance(part, str | int)]
        said = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            said = _unknown(where)
        raise ProfileFileError(
            f"{path}, line {_yaml.line_of(node, where)}: {'.'.join(map(str, where)) or 'the file'}: "
            f"{_shown(first['input'])}: {said}"
        ) from error


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema of the profiles file, for editors; what it can't say, `load_profiles` does."""
    schema = Profiles.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _refuse_filled_in(node: yaml.Node | None) -> None:
    """Treat what `Profiles` itself fills in as any other unknown key."""
    for name in _yaml.keys_of(node, ["profiles"]):
        for key in _yaml.keys_of(node, ["profiles", name]):
            if key in _FILLED_IN:
                where = ["profiles", name, key]
                raise _yaml.FileTrouble(_yaml.line_of(node, where), f"{'.'.join(where)}: {_unknown(where)}")


def _unknown(where: Sequence[str | int]) -> str:
    """Say that a key is none, and which one may have been meant."""
    models: dict[int, type[BaseModel]] = {1: Profiles, 3: Profile}
    model = models.get(len(where), DaskBudget)
    known = [name for name in model.model_fields if name not in _FILLED_IN]
    close = get_close_matches(str(where[-1]), known, 1, 0.6)
    meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"there is no such key; {meant}"


def _shown(value: object) -> str:
    """Show the value that was wrong, short enough for one line."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
