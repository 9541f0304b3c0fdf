"""What a publisher sends and is told, and what is kept of a published cube."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from xcube_cubehub.errors import CubeError

Level = Literal["error", "warning"]
Text = Annotated[str, StringConstraints(max_length=4000)]
Short = Annotated[str, StringConstraints(max_length=300)]
Group = Annotated[str, StringConstraints(pattern=r"^/[^\s]{1,200}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
MAX_AXIS = 65_536
"""Places along a row or column."""
MAX_ATTRIBUTES = 200
UNITLESS = frozenset({"", "1"})


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a cube from being published (``error``), or that could be better (``warning``).

    Attributes
    ----------
    where : str
        The variable, coordinate or option it is about.
    hint : str
        What to do.
    rule : str
        Of xrlint, where it found it.
    """

    where: str
    message: str
    hint: str = ""
    level: Level = "error"
    rule: str = ""

    def as_json(self) -> dict[str, str]:
        """For the answer."""
        return asdict(self)


class PublishError(CubeError):
    """A request about publishing that is refused."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str = "",
        problems: Sequence[Problem] = (),
        **more: Any,
    ) -> None:
        super().__init__(message, hint)
        self.status, self.code, self.problems, self.more = status, code, tuple(problems), more


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Coordinate(_Wire):
    """A coordinate of the dataset: numbers for one along a single dimension, times in nanoseconds since 1970."""

    dims: list[Name] = Field(max_length=8)
    dtype: Short
    attrs: dict[str, Any] = Field(default={}, max_length=MAX_ATTRIBUTES)
    values: list[int | float | None] | None = None


class DataVariable(_Wire):
    """A data variable, without its data."""

    dims: list[Name] = Field(max_length=8)
    dtype: Short
    attrs: dict[str, Any] = Field(default={}, max_length=MAX_ATTRIBUTES)
    encoding: dict[str, str | int | float | None] = Field(default={}, max_length=20)


class Structure(_Wire):
    """A dataset without its data."""

    sizes: dict[Name, Annotated[int, Field(ge=0, le=2**53)]] = Field(max_length=16)
    coords: dict[Name, Coordinate] = Field(max_length=64)
    variables: dict[Name, DataVariable] = Field(max_length=64)
    attrs: dict[str, Any] = Field(default={}, max_length=MAX_ATTRIBUTES)


class StyleWish(_Wire):
    """How a variable is to be shown."""

    colours: Short = "viridis"
    range: tuple[float, float] | None = None
    scale: Literal["lin", "log"] = "lin"


class Wish(_Wire):
    """The request that begins an upload."""

    name: Short
    structure: Structure
    title: Short = ""
    description: Text = ""
    attribution: Short = ""
    license: Short = ""
    style: dict[Name, StyleWish] = Field(default={}, max_length=64)
    access: Literal["public", "account", "owner"] | list[Group] = "owner"
    expires_days: float | None = Field(default=None, gt=0, le=1e5)
    anew: bool = False
    """Begin anew, even where an upload of the same is unfinished."""


class StyleKept(_Wire):
    """How a published variable is shown."""

    name: str
    colours: str
    range: tuple[float, float]
    scale: Literal["lin", "log"]


class Record(BaseModel):
    """What is kept of a published cube, beside its data."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    name: str
    folder: str
    """Of the data, below ``published/cubes``; each version has its own, so that versions change at once."""
    owner_id: str
    """Keycloak's."""
    owner_name: str
    title: str
    description: str = ""
    attribution: str = ""
    license: str = ""
    access: Literal["public", "account", "owner"] | list[str]
    styles: list[StyleKept]
    published: float
    """Unix time, as the others."""
    expires: float
    removed: float | None = None
    """When it was taken back."""
    bytes: int
    times: int

    def is_live(self, now: float) -> bool:
        """Whether people see it."""
        return self.removed is None and now < self.expires

    def ended(self) -> float:
        """When it stopped or will stop being seen."""
        return self.expires if self.removed is None else min(self.removed, self.expires)


_PLAIN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
SEPARATOR = "--"
_ROOM = 28
"""Letters of each half; both, the separator and two hashes stay within the 63 that an id may have."""


def slug(text: str) -> str:
    """A name as part of an id: itself where it is plain and short, else what is plain of it and a hash.

    Notes
    -----
    Different texts have different slugs, but for collisions of 32 bits of SHA-256: a hash always follows a dot of its
    own kind (``-x`` and eight digits), which a plain text that ends alike is given too.
    """
    if _PLAIN.fullmatch(text) and len(text) <= _ROOM and not re.search(r"-x[0-9a-f]{8}$", text):
        return text
    kept = re.sub(r"[^a-z0-9]+", "-", text.lower())[: _ROOM - 10].strip("-") or "cube"
    return f"{kept}-x{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def id_of(person: str, name: str) -> str:
    """Id of a person's cube. It has the person in it, so that nobody learns from a taken name what others have."""
    return f"{slug(person)}{SEPARATOR}{slug(name)}"
