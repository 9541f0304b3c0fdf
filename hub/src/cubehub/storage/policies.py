"""What an operator lets be cleaned up, `storage.yaml`. Pure, but for reading the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cubehub.errors import BadInputError
from cubehub.settings import Duration, read_seconds

if TYPE_CHECKING:
    from pathlib import Path

FILE = "storage.yaml"
DAY_S = 86400
Kind = Literal["pip", "conda", "uv", "checkpoints", "trash", "other"]


def _age(value: object) -> object:
    """Seconds of ``"30d"``; None for ``off``, which YAML reads as false."""
    return None if value is False or value in {"off", None} else read_seconds(value)


Age = Annotated[int | None, BeforeValidator(_age)]
PRESETS: dict[str, dict[Kind, int | None]] = {
    "gentle": {
        "pip": 90 * DAY_S, "conda": 90 * DAY_S, "uv": 90 * DAY_S, "checkpoints": 60 * DAY_S, "trash": 60 * DAY_S, "other": None,
    },
    "university": {
        "pip": 30 * DAY_S, "conda": 30 * DAY_S, "uv": 30 * DAY_S, "checkpoints": 30 * DAY_S, "trash": 30 * DAY_S, "other": 180 * DAY_S,
    },
    "workshop": dict.fromkeys(("pip", "conda", "uv", "checkpoints", "trash", "other"), 3 * DAY_S),
    "off": dict.fromkeys(("pip", "conda", "uv", "checkpoints", "trash", "other")),
}  # fmt: skip


class Policy(BaseModel):
    """The content of `storage.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    preset: Literal["gentle", "university", "workshop", "off"] = "gentle"
    """Ages of all kinds, to which `caches` has exceptions."""
    caches: dict[Kind, Age] = {}
    """By kind, after how long without use; ``off`` for never."""
    hold: Duration = Field(default=14 * DAY_S)
    """How long a thing is kept in quarantine at least; seconds."""
    most_of_home: float = Field(default=50, gt=0, le=100)
    """Per cent of a home that one run may move."""
    most_of_platform: float = Field(default=10, gt=0, le=100)
    """Per cent of all homes that one run may move."""

    def age(self, kind: str) -> int | None:
        """Seconds without use after which a kind is cleaned up; None for never."""
        ages: dict[str, int | None] = dict(PRESETS[self.preset].items())
        ages.update(self.caches.items())
        return ages.get(kind)


def read_policy(path: Path) -> Policy:
    """Read the file.

    Raises
    ------
    BadInputError
        It is not YAML, or has a key or value that is not known; names them.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        message = f"{path} cannot be read: {' '.join(str(error).split())}"
        raise BadInputError(message, "It must be a YAML file in UTF-8.") from error
    try:
        return Policy.model_validate(content or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadInputError(
            f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}",
            "Look at the comments in the shipped file.",
        ) from error
