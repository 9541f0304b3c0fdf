"""What an operator lets be cleaned up, `storage.yaml`. Pure, but for reading the file."""

from __future__ import annotations

import re
from datetime import date  # noqa: TC003 - pydantic needs it at run time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from cubehub_spawner.profiles import parse_bytes
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from cubehub.errors import BadInputError
from cubehub.resources import resource
from cubehub.settings import Duration, read_seconds
from cubehub.storage.tally import LARGE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

FILE = "storage.yaml"
DAY_S = 86400
CacheKind = Literal["pip", "conda", "uv", "checkpoints", "trash", "other"]


def _age(value: object) -> object:
    """Seconds of ``"30d"``; None for ``off``, which YAML reads as false."""
    return None if value is False or value in {"off", None} else read_seconds(value)


def _preset(value: object) -> object:
    """The name of a preset; YAML reads ``off`` as false."""
    return "off" if value is False else value


Age = Annotated[int | None, BeforeValidator(_age)]
Size = Annotated[int, BeforeValidator(parse_bytes)]
_GIB = 2**30
_CACHES: dict[str, dict[str, int | None]] = {
    "gentle": {
        "pip": 90 * DAY_S, "conda": 90 * DAY_S, "uv": 90 * DAY_S, "checkpoints": 60 * DAY_S, "trash": 60 * DAY_S, "other": None,
    },
    "university": {
        "pip": 30 * DAY_S, "conda": 30 * DAY_S, "uv": 30 * DAY_S, "checkpoints": 30 * DAY_S, "trash": 30 * DAY_S, "other": 180 * DAY_S,
    },
    "workshop": dict.fromkeys(("pip", "conda", "uv", "checkpoints", "trash", "other"), 3 * DAY_S),
    "off": dict.fromkeys(("pip", "conda", "uv", "checkpoints", "trash", "other")),
}  # fmt: skip
_OTHERS: dict[str, dict[str, int | None]] = {
    "gentle": dict.fromkeys(("scratch", "large", "idle", "over_quota")),
    "university": {
        "scratch": 60 * DAY_S,
        "large": 365 * DAY_S,
        "idle": 365 * DAY_S,
        "over_quota": 14 * DAY_S,
    },
    "workshop": {"scratch": 7 * DAY_S, "large": None, "idle": 60 * DAY_S, "over_quota": 3 * DAY_S},
    "off": dict.fromkeys(("scratch", "large", "idle", "over_quota")),
}
PRESETS: dict[str, dict[str, int | None]] = {name: _CACHES[name] | _OTHERS[name] for name in _CACHES}
"""Ages in seconds, by preset and kind; None for never."""
OVER_QUOTA_AGE_S = DAY_S
"""Caches that a home has which is over its quota go after so long without use."""


Preset = Annotated[Literal["gentle", "university", "workshop", "off"], BeforeValidator(_preset)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Rules(_Strict):
    """After how long without use something may be moved; of all homes, or of those of a profile."""

    preset: Preset = "gentle"
    """Ages of all kinds, to which the rest has exceptions."""
    caches: dict[CacheKind, Age] = {}
    """By kind, after how long without use; ``off`` for never."""
    scratch: Age = None
    """Files and folders in a folder for scratch."""
    large: Age = None
    """Files of at least `large_from`."""
    idle: Age = None
    """Homes of whom did not log in, ran no server and used no file for so long."""
    over_quota: Age = None
    """For so long a home may be over the storage of its profile; then its caches go after a day without use."""

    def age_of(self, kind: str) -> tuple[int | None] | None:
        """What these rules say of a kind, in a tuple; None if they say nothing."""
        caches: dict[str, int | None] = dict(self.caches.items())
        if kind in caches:
            return (caches[kind],)
        if kind in self.model_fields_set and kind in _OTHERS["off"]:
            return (getattr(self, kind),)
        if "preset" in self.model_fields_set:
            return (PRESETS[self.preset].get(kind),)
        return None


class Workshop(_Strict):
    """Homes that are needed until a day."""

    homes: str = Field(min_length=1, max_length=100)
    """Names of the homes, such as ``summer-*``."""
    ends: date
    """The last day, in UTC."""

    def has(self, home: str) -> bool:
        """Whether a home is one of them."""
        return fnmatchcase(home, self.homes)


class NoticeSettings(_Strict):
    """When people are told before something that they made is moved."""

    first: Duration = Field(default=14 * DAY_S)
    """How long before."""
    second: Duration = Field(default=3 * DAY_S)
    """How long before they are told again."""

    @model_validator(mode="after")
    def _in_order(self) -> NoticeSettings:
        if self.second >= self.first:
            raise ValueError("the second notice must come later than the first, so its time must be shorter")
        return self


class ArchiveSettings(_Strict):
    """Where and how long what people made is kept once it is out of quarantine."""

    to: str = ""
    """A folder, or ``s3://BUCKET/PREFIX``; without one nothing that people made is removed from quarantine."""
    keep: Age = None
    """How long an archive is kept; ``off`` for ever."""

    @field_validator("to")
    @classmethod
    def _place(cls, value: str) -> str:
        if value and not re.match(r"(/|s3://[^/]+)", value):
            raise ValueError(f"{value!r} is neither a folder by its full path, nor s3://BUCKET/PREFIX")
        return value


class Policy(Rules):
    """The content of `storage.yaml`."""

    profiles: dict[str, Rules] = {}
    """Other rules for the homes of a profile, by its name."""
    scratch_folders: list[str] = ["scratch"]
    """Folders of a home that are for scratch, as paths from it."""
    large_from: Size = 10 * _GIB
    """What a large file is; bytes."""
    workshops: list[Workshop] = []
    """Workshops and when they end."""
    notices: NoticeSettings = NoticeSettings()
    """When people are told."""
    archive: ArchiveSettings = ArchiveSettings()
    """Where what people made is kept."""
    hold: Duration = Field(default=14 * DAY_S)
    """How long a thing is kept in quarantine at least; seconds."""
    most_of_home: float = Field(default=50, gt=0, le=100)
    """Per cent of a home that one run may move; an idle home as a whole is not counted here."""
    most_of_platform: float = Field(default=10, gt=0, le=100)
    """Per cent of all homes that one run may move."""
    automatic: bool = False
    """Whether a round applies its plan itself, archives and purges; else it scans, plans and tells people only."""
    every: Duration = Field(default=DAY_S)
    """How often the platform makes a round; seconds."""

    @field_validator("large_from")
    @classmethod
    def _seen(cls, value: int) -> int:
        if value < LARGE_BYTES:
            raise ValueError(
                f"it must be at least {LARGE_BYTES >> 20}M: a scan tells no smaller file by name"
            )
        return value

    @field_validator("scratch_folders")
    @classmethod
    def _folders(cls, value: list[str]) -> list[str]:
        for path in value:
            if not path or path.startswith("/") or any(p in {"", ".", ".."} for p in path.split("/")):
                raise ValueError(f"{path!r} is no path from a home, such as scratch or work/tmp")
            if re.search(r"[\0\n]", path):
                raise ValueError(f"{path!r} is no path")
        return value

    def age(self, kind: str, profile: str | None = None) -> int | None:
        """Seconds without use after which a kind is cleaned up; None for never.

        Parameters
        ----------
        profile : str or None
            Of the home's owner: what is said for it comes first.
        """
        for rules in (self.profiles.get(profile or ""), self):
            said = rules.age_of(kind) if rules is not None else None
            if said is not None:
                return said[0]
        return PRESETS[self.preset].get(kind)

    def needs_people(self) -> bool:
        """Whether anything is moved that people made, or by profile: who has which home must be known then."""
        made = any(self.moves(kind) for kind in ("scratch", "large", "idle", "over_quota"))
        return bool(made or self.profiles or self.workshops)

    def moves(self, kind: str) -> bool:
        """Whether a kind is moved out of anybody's home."""
        every: list[Rules] = [self, *self.profiles.values()]
        return any(self._says(rules, kind) for rules in every)

    def _says(self, rules: Rules, kind: str) -> bool:
        said: Any = rules.age_of(kind)
        return (said[0] if said is not None else PRESETS[self.preset].get(kind)) is not None


def read_policy(path: Path) -> Policy:
    """Read the file.

    Raises
    ------
    BadInputError
        It is not YAML, or has a key or value that is not known; names them.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        message = f"{path} cannot be read: {' '.join(str(error).split())}"
        raise BadInputError(message, "It must be a YAML file in UTF-8; mend the line it names.") from error
    try:
        return Policy.model_validate(content or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        known = first["type"] != "extra_forbidden"
        why = first["msg"].removeprefix("Value error, ") if known else "CubeHub knows no such key"
        raise BadInputError(
            f"{path}: {where}: {why} (found {first.get('input')!r})",
            f"The comments in {resource('config', FILE)} list every key with its meaning.",
        ) from error
