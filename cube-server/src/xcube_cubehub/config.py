"""The files that configure the cube server: ``cubes.yaml`` for people, ``cubes.json`` from the Hub."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from xcube_cubehub.access import Access, Rule
from xcube_cubehub.bucket import split
from xcube_cubehub.errors import BadInputError, ConfigError
from xcube_cubehub.publishing.settings import Publishing

ID = r"[a-z0-9][a-z0-9-]{0,62}"
Id = Annotated[str, StringConstraints(pattern=f"^{ID}$")]
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
    range: tuple[float, float] | None = None
    """Values at the two ends of the colour map, in the variable's unit; without it those below which 2 and 98 of 100
    values of the cube are, in round numbers."""
    scale: Literal["lin", "log"] = "lin"

    @model_validator(mode="after")
    def _range_fits(self) -> Self:
        if self.range is None:
            return self
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

    def folder(self, cubes_dir: Path) -> Path:
        """Where its data are."""
        return cubes_dir / self.id

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
    publishing: Publishing = Publishing()
    """What people may publish beside these."""
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
    cubes_dir: Path | Annotated[str, StringConstraints(pattern="^s3://")]
    """Folder of the built cubes, or ``s3://BUCKET/PREFIX``; credentials from the environment, or ``bucket_env``."""
    bucket_env: Path | None = None
    """File of lines ``AWS_ACCESS_KEY_ID=…``, ``AWS_ENDPOINT_URL=…`` and so on, as Kubernetes mounts a secret."""
    bucket_cache: ByteSize = Field(default=ByteSize(4 * 2**30), ge=2**20)
    """Of what is read of a bucket, how much is kept in the state folder: bytes, or such as ``20GiB``."""
    cubes_yaml: Path
    published_dir: Path | None = None
    """Folder of what people publish; by default ``published`` in that of the cubes. With a bucket they can publish only
    if it is given: a volume that stays."""
    issuer: str
    """Address of the Keycloak realm."""
    client_id: str = "cubehub-cubes"
    audience: str = "cubehub-cubes"
    state_dir: Path
    hub_api_url: str = ""
    """Address of the Hub's API, which says who publishes; without it nobody can."""
    hub_api_token: SecretStr = SecretStr("")
    """Of this service."""
    permalinks_dir: Path | None = None
    """Where views that people share are kept; ``permalinks`` in `state_dir` unless it says otherwise."""
    workers: int = Field(default=2, ge=1, le=64)
    """Processes that answer tiles and series; one for each core that they may use."""

    @property
    def bucket(self) -> str | None:
        """Address of the bucket; None where cubes lie in a folder."""
        return self.cubes_dir if isinstance(self.cubes_dir, str) else None

    @property
    def folder(self) -> Path:
        """Where each cube has its index and its stamp: what is told of a bucket is kept here."""
        return self.state_dir / "bucket" if isinstance(self.cubes_dir, str) else self.cubes_dir

    @property
    def published(self) -> Path | None:
        """Where published cubes are; None where nobody can publish."""
        if self.published_dir is not None or isinstance(self.cubes_dir, str):
            return self.published_dir
        return self.cubes_dir / "published"

    @property
    def blocks(self) -> Path:
        """Where parts of objects are kept."""
        return self.state_dir / "parts"

    @field_validator("cubes_dir")
    @classmethod
    def _clean_address(cls, value: Path | str) -> Path | str:
        if isinstance(value, str):
            try:
                split(value)
            except BadInputError as error:
                raise ValueError(f"{error.message}; {error.hint}") from error
            return value.rstrip("/")
        return value

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
        where = ".".join(_named(first["loc"], data)) or "the file"
        message = f"{path}, {where}: {first['msg'].removeprefix('Value error, ')}"
        raise ConfigError(message, "correct the file") from error


def _named(places: tuple[int | str, ...], data: object) -> list[str]:
    """The way to a place in a file; of a list the id of the entry, or its number as people count."""
    way = []
    for place in places:
        entry = None
        if isinstance(data, dict):
            data = data.get(place)
        elif isinstance(data, list) and isinstance(place, int) and place < len(data):
            data = entry = data[place]
        name = entry.get("id") or entry.get("name") if isinstance(entry, dict) else None
        is_name = isinstance(name, str) and re.fullmatch(ID, name) is not None
        way.append(str(name) if is_name else f"number {place + 1}" if isinstance(place, int) else place)
    return way
