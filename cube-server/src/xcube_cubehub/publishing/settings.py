"""How much people may publish: the section ``publishing`` of ``cubes.yaml``."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
DAY_S = 86400
_SECONDS = {"h": 3600, "d": DAY_S}


def _bytes(value: object) -> object:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", value) if isinstance(value, str) else None
    if isinstance(value, str) and found is None:
        message = f"{value!r} is not a size such as 20G (multiples of 1024)"
        raise ValueError(message)
    return value if found is None else int(float(found[1]) * _UNITS[found[2]])


def _seconds(value: object) -> object:
    found = re.fullmatch(r"(\d+)([hd])", value) if isinstance(value, str) else None
    if isinstance(value, str) and found is None:
        message = f"{value!r} is not a duration such as 90d or 12h"
        raise ValueError(message)
    return value if found is None else int(found[1]) * _SECONDS[found[2]]


Size = Annotated[int, BeforeValidator(_bytes), Field(ge=0)]
Duration = Annotated[int, BeforeValidator(_seconds), Field(ge=0)]
Group = Annotated[str, StringConstraints(pattern=r"^/[^\s]+$")]


class Publishing(BaseModel):
    """What people may publish."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    """Whether people may publish at all; what is published stays."""
    public_by: Literal["everyone", "administrators"] | list[Group] = "everyone"
    """Who may publish for everybody: all who may publish, administrators alone, or members of groups."""
    quota: Size = 20 * 2**30
    """Bytes that all published cubes of a person may have, with those that were taken back and not removed yet."""
    cubes: int = Field(default=50, ge=1)
    """How many cubes a person may have published."""
    keep_free: Size = 5 * 2**30
    """Bytes of the disk that publishing leaves free."""
    expires: Duration = 90 * DAY_S
    """How long a cube stays where its publisher says nothing; seconds."""
    longest: Duration = 366 * DAY_S
    """How long a publisher may let it stay; seconds from now."""
    grace: Duration = 7 * DAY_S
    """How long the data of a cube is kept that has expired or was taken back; seconds."""
    max_times: int = Field(default=20_000, ge=1)
    """Steps that a cube may have."""
    max_pixels: int = Field(default=36_000_000, ge=1)
    """Pixels that a step of a variable may have; the server holds about five times four bytes for each."""
    max_variables: int = Field(default=20, ge=1)
    """Variables that a cube may have."""
    uploads: int = Field(default=2, ge=1)
    """Cubes that a person may send at the same time."""
    all_uploads: int = Field(default=16, ge=1)
    """Cubes that may be sent at the same time by everybody."""
