"""The files that configure the cube server: ``cubes.yaml`` for people, ``cubes.json`` from the Hub."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from xcube_cubehub.access import Access, Rule
from xcube_cubehub.errors import ConfigError

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Model = TypeVar("Model", bound=BaseModel)
Owner = Annotated[str, StringConstraints(pattern=r"^\S{1,255}$")]
Site = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*|https?://(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?)$"
    ),
]
"""A site as Content-Security-Policy takes it: nothing that could end the directive that it stands in."""
GroupPath = Annotated[str, StringConstraints(pattern=r"^/[^\s]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Variable(_Strict):
    """A variable as the viewer shows it."""

    name: str
    colours: str = "viridis"
    """A colour map of matplotlib or cmocean."""
    range: tuple[float, float]
    """Values at the two ends of the colour map, in the variable's unit."""
    scale: Literal["lin", "log"] = "lin"

    @model_validator(mode="after")
    def _range_fits(self) -> Self:
        low, high = self.range
        if low >= high:
            msg = f"range of {self.name}: {low} is not below {high}"
            raise ValueError(msg)
        if self.scale == "log" and low <= 0:
            msg = f"range of {self.name}: a log scale starts above 0, not at {low}"
            raise ValueError(msg)
        return self


class Places(_Strict):
    """A GeoJSON file with places for the viewer; ``file`` is relative to the configuration file."""

    id: Id
    title: str
    file: Path


class Cube(_Strict):
    """A published cube."""

    id: Id
    title: str
    description: str = ""
    group: str = "Cubes"
    """Heading under which the viewer lists it."""
    access: Literal["public", "account", "owner"] | list[GroupPath]
    """``public``, ``account``, ``owner``, or a list of Keycloak group paths."""
    owner: Owner | None = None
    """Keycloak's id or user name of a person: who alone may read it (``access: owner``), or beside the groups."""
    attribution: str
    variables: list[Variable] = Field(min_length=1)
    """In the viewer's order: the first is shown first."""
    places: list[Id] = []

    @property
    def rule(self) -> Rule:
        """The access rule."""
        if isinstance(self.access, list):
            return Rule(Access.GROUPS, frozenset(self.access), self.owner or "")
        return Rule(Access(self.access), owner=self.owner or "")

    @model_validator(mode="after")
    def _owner_means_something(self) -> Self:
        if self.access == "owner" and self.owner is None:
            raise ValueError("access: owner takes owner: the Keycloak id or user name of a person")
        # Whoever writes one there believes that it keeps others out.
        if self.owner is not None and self.access in ("public", "account"):
            raise ValueError(
                f"an owner means nothing beside access: {self.access}; write access: owner or groups"
            )
        return self


class Cubes(_Strict):
    """``cubes.yaml``."""

    default: Id | None = None
    """The cube that the viewer opens first."""
    places: list[Places] = []
    embed: list[Site] = []
    """Sites whose pages may show public cubes in a frame, such as ``https://lakes.example.org``; ``*`` for all."""
    cubes: list[Cube] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, ids in (("cube", [c.id for c in self.cubes]), ("place group", [p.id for p in self.places])):
            twice = {i for i in ids if ids.count(i) > 1}
            if twice:
                msg = f"{what} {min(twice)!r} is listed twice"
                raise ValueError(msg)
        known = {p.id for p in self.places}
        for cube in self.cubes:
            missing = [p for p in cube.places if p not in known]
            if missing:
                msg = f"cube {cube.id!r} names the unknown place group {missing[0]!r}"
                raise ValueError(msg)
        if self.default is not None and self.default not in {c.id for c in self.cubes}:
            msg = f"default names the unknown cube {self.default!r}"
            raise ValueError(msg)
        return self


class ServerSettings(_Strict):
    """``cubes.json``: what the Hub tells the cube server."""

    address: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    prefix: str = "/services/cubes"
    public_url: str
    """Address under which people reach the Hub's proxy, without a path."""
    cubes_dir: Path
    cubes_yaml: Path
    issuer: str
    """Address of the Keycloak realm."""
    client_id: str = "cubehub-cubes"
    audience: str = "cubehub-cubes"
    state_dir: Path
    permalinks_dir: Path | None = None
    """Where views that people share are kept; ``permalinks`` in `state_dir` unless it says otherwise."""
    workers: int = Field(default=2, ge=1, le=64)
    """Processes that answer tiles and series; one for each core that they may use."""

    @field_validator("prefix")
    @classmethod
    def _clean_prefix(cls, value: str) -> str:
        value = "/" + value.strip("/")
        if not re.fullmatch(r"(/[A-Za-z0-9_.-]+)+", value):
            msg = f"{value!r} is not a path such as /services/cubes"
            raise ValueError(msg)
        return value

    @field_validator("public_url", "issuer")
    @classmethod
    def _clean_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            msg = f"{value!r} is not an http address"
            raise ValueError(msg)
        return value.rstrip("/")


def read_cubes(path: Path) -> Cubes:
    """Read ``cubes.yaml``.

    Raises
    ------
    ConfigError
        Missing, not YAML, or saying something impossible; the message names the place in the file.
    """
    return _validated(Cubes, path, _parsed(path, yaml.safe_load, yaml.YAMLError))


def read_settings(path: Path) -> ServerSettings:
    """Read ``cubes.json``.

    Raises
    ------
    ConfigError
        Missing, not JSON, or saying something impossible.
    """
    return _validated(ServerSettings, path, _parsed(path, json.loads, ValueError))


def _parsed(path: Path, parse: Any, failure: type[Exception]) -> object:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise ConfigError(message, "check the path and who may read it") from error
    except failure as error:
        message = f"{path} is not valid: {' '.join(str(error).split())}"
        raise ConfigError(message, "correct the file") from error


def _validated(model: type[Model], path: Path, data: object) -> Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        message = f"{path}, {where}: {first['msg'].removeprefix('Value error, ')}"
        raise ConfigError(message, "correct the file") from error
