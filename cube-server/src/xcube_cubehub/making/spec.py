"""What a recipe file may say. Its JSON schema is `RecipeFile.model_json_schema()`."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xcube_cubehub.cubegrid import parsed_crs
from xcube_cubehub.errors import CubeError, RecipeError
from xcube_cubehub.making.formula import Formula
from xcube_cubehub.sources.model import Kind
from xcube_cubehub.steps import VariableSpec

MAX_BYTES = 200_000
MAX_DEPTH = 20
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader of libyaml where it is there: that in Python takes seconds for a line of brackets."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Line = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Band(_Strict):
    """A band that expressions and masks may name."""

    asset: str = ""
    """File of the scene without its ending (``chl_nn``), or the band's name in a catalogue (``B04``); empty for a scene
    of one file."""
    variables: tuple[str, ...] = ()
    """Names within a NetCDF file, the first that exists; empty: the band's own name."""
    kind: Literal["value", "class", "flags"] = "value"
    """Values are interpolated, classes and flag words are not."""
    optional: bool = False
    """Where a scene lacks the band, variables that need it have no value there; otherwise the scene is skipped."""


class Mask(_Strict):
    """A condition on one band that a pixel must fulfil."""

    band: Name
    any_of: tuple[str, ...] = ()
    """Flags of which at least one is set."""
    none_of: tuple[str, ...] = ()
    """Flags of which none is set."""
    keep: tuple[int, ...] = ()
    """Classes that are kept; all others are left out."""
    drop: tuple[int, ...] = ()
    """Classes that are left out."""
    below: float | None = None
    """Values under this are kept."""
    at_least: float | None = None
    """Values from this on are kept."""
    if_present: bool = False
    """Where a scene lacks the band, the mask is left out; otherwise its variables have no value."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (
            self.any_of
            or self.none_of
            or self.keep
            or self.drop
            or self.below is not None
            or self.at_least is not None
        ):
            raise ValueError(
                f"the mask on {self.band} says nothing; give any_of, none_of, keep, drop, below or at_least"
            )
        if self.keep and self.drop:
            raise ValueError(f"the mask on {self.band} has both keep and drop; one says it all")
        return self


class Style(_Strict):
    """How a variable is shown."""

    colours: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")] = "viridis"
    """Name of a colour map."""
    range: tuple[float, float] | None = None
    """What it spans; without it the cube server takes it from the values, and no tiles are made beforehand."""
    scale: Literal["lin", "log"] = "lin"


class Variable(_Strict):
    """A variable of the cube."""

    expression: str
    """Arithmetic over bands."""
    long_name: Line
    standard_name: str | None = None
    units: str
    mask: tuple[Mask, ...] = ()
    """Besides the masks of the recipe."""
    valid_range: tuple[float, float] | None = None
    """Values outside have no value."""
    scale_factor: Annotated[float, Field(gt=0)] | None = None
    """Step between two stored values, if stored as 16 bits; otherwise 32-bit floats."""
    style: Style = Style()
    agg: Literal["mean", "first", "mode"] = "mean"
    log_space: bool = False
    """Average and interpolate the logarithm."""

    @field_validator("expression")
    @classmethod
    def _is_arithmetic(cls, text: str) -> str:
        try:
            Formula(text)
        except CubeError as error:
            raise ValueError(f"{error.message}; {error.hint}") from error
        return text

    def spec(self, name: str) -> VariableSpec:
        """As the builder takes it."""
        return VariableSpec(
            name,
            self.long_name,
            self.standard_name,
            self.units,
            "int16" if self.scale_factor else "float32",
            self.scale_factor,
            self.style.colours,
            self.style.range,
            self.style.scale,
            self.agg,
            self.log_space,
        )


class GridSpec(_Strict):
    """The grid of the cube."""

    crs: str = "EPSG:4326"
    """``EPSG:n``, or ``utm`` for the zone in which the middle of the area lies."""
    resolution: float = Field(gt=0)
    """In degrees or metres, as the CRS has them."""
    zones: Literal["merge", "keep"] = "merge"
    """Scenes of other projections are resampled onto the grid, or left out."""

    @field_validator("crs")
    @classmethod
    def _is_known(cls, text: str) -> str:
        if text == "utm":
            return text
        try:
            parsed_crs(text)
        except CubeError as error:
            raise ValueError(error.message) from error
        return text


class TimeSpec(_Strict):
    """The steps of the cube."""

    period_days: Annotated[int, Field(ge=1, le=366)] = 1
    """Length of a step."""
    anchor: date = date(2000, 1, 1)
    """A day on which a step begins; so steps stay where they are when scenes come in."""


class Combine(_Strict):
    """How the scenes of one step become one value of a pixel."""

    rule: Literal["mean", "first", "maximum"] = "mean"
    """``mean``: of all scenes with a value, each counts once (of the logarithm, where the variable says so).
    ``first``: the value of the best scene that has one. ``maximum``: all variables from the scene in which the first
    variable is highest."""
    prefer: Literal["clearest", "newest"] = "clearest"
    """Which scene is better: that with less cloud as its metadata says (unknown is worst), or the later; the other
    decides between equals, and then the id."""


class RecipeFile(_Strict):
    """A recipe: from scenes of one kind to the variables of a cube."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Of the cube."""
    version: int = Field(ge=1)
    """Raised when the same scenes shall give other values."""
    title: Line
    description: Annotated[str, Field(min_length=1, max_length=4000)]
    attribution: Line
    license: Line
    kind: Kind
    """Of scenes."""
    bands: dict[Name, Band] = Field(min_length=1, max_length=64)
    grid: GridSpec
    time: TimeSpec = TimeSpec()
    combine: Combine = Combine()
    mask: tuple[Mask, ...] = ()
    """For all variables."""
    variables: dict[Name, Variable] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for mask in (*self.mask, *(mask for variable in self.variables.values() for mask in variable.mask)):
            if mask.band not in self.bands:
                raise ValueError(
                    f"a mask names {mask.band}, which is no band; bands: {', '.join(self.bands)}"
                )
            flags = self.bands[mask.band].kind == "flags"
            if flags != bool(mask.any_of or mask.none_of):
                raise ValueError(
                    f"{mask.band}: any_of and none_of are for bands of kind flags, and those take only them"
                )
        for name, variable in self.variables.items():
            unknown = Formula(variable.expression).names - set(self.bands)
            if unknown:
                raise ValueError(
                    f"{name}: {', '.join(sorted(unknown))} is no band; bands: {', '.join(self.bands)}"
                )
        return self

    def needed(self, name: str) -> frozenset[str]:
        """Bands without which a variable has no value."""
        masks = (*self.mask, *self.variables[name].mask)
        return Formula(self.variables[name].expression).names | {
            mask.band for mask in masks if not mask.if_present
        }


def read_recipe(path: Path) -> RecipeFile:
    """A recipe from its file.

    Raises
    ------
    RecipeError
        It cannot be read, is no YAML, or says something impossible; the message names the place in the file.
    """
    try:
        with path.open("rb") as opened:
            text = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    return parse_recipe(text, str(path))


def parse_recipe(text: bytes | str, name: str) -> RecipeFile:
    """A recipe from the text of its file; ``name`` is for messages.

    Raises
    ------
    RecipeError
        See `read_recipe`.
    """
    if len(text) > MAX_BYTES:
        raise RecipeError(f"{name} is larger than {MAX_BYTES:,} bytes", "a recipe is a page of text")
    plain = text.encode() if isinstance(text, str) else text
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(plain, Loader=LOADER)):
            raise RecipeError(
                f"{name} uses YAML aliases", "write it out; a few aliases can stand for gigabytes"
            )
        document: Any = yaml.load(plain, Loader=LOADER)  # noqa: S506 - one of the two safe loaders
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"{name} is no YAML: {error}"[:500], "see the line it names") from error
    try:
        return RecipeFile.model_validate(document)
    except ValidationError as error:
        said = [
            f"{'.'.join(str(part) for part in e['loc']) or 'the file'}: {e['msg']}"
            for e in error.errors()[:5]
        ]
        raise RecipeError(
            f"{name}: {'; '.join(said)}", "its JSON schema lists all that a recipe may say"
        ) from error


def _require_plain(text: bytes, name: str) -> None:
    """Refuse what makes a small file large or slow, before it is built."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise RecipeError(
                f"{name} uses YAML aliases", "write it out; a few aliases can stand for gigabytes"
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise RecipeError(f"{name} is nested more than {MAX_DEPTH} deep", "no part of a recipe is")
