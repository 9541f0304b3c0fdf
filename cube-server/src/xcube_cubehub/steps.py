"""The contract between recipes and the builder: scenes are planned into steps, and each step is made on its own.

A recipe looks at a source and says what it would do (`Plan`), without reading pixels. The builder compares the plan
with the cube it has, and asks for those steps that are new or changed (`MadeStep`), in any order and any process.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from xcube_cubehub.cubegrid import Area, CubeGrid

__all__ = [
    "Area",
    "CubeGrid",
    "MadeStep",
    "Plan",
    "PlannedStep",
    "ReportLine",
    "Scene",
    "SceneRecipe",
    "SceneRef",
    "TimeRange",
    "VariableSpec",
    "digest",
    "fingerprint_of",
]

Outcome = Literal["used", "skipped", "replaced"]


@dataclass(frozen=True)
class TimeRange:
    """From ``start`` up to, and without, ``end``; datetime64[s], UTC. None: open on that side."""

    start: np.datetime64 | None = None
    end: np.datetime64 | None = None

    def __contains__(self, moment: np.datetime64) -> bool:
        """Whether a moment lies in the range."""
        return bool((self.start is None or moment >= self.start) and (self.end is None or moment < self.end))


@dataclass(frozen=True)
class SceneRef:
    """One scene or item that may contribute.

    Attributes
    ----------
    id : str
        Name of the product, without its processing.
    version : str
        Processing baseline or collection, e.g. ``05.09`` or ``003``; orders two versions of one scene.
    platform : str
        For example ``sentinel-3a``; empty if unknown.
    sensing : datetime64[s]
        Start of sensing, UTC.
    """

    id: str
    version: str
    platform: str
    sensing: np.datetime64


@runtime_checkable
class Scene(Protocol):
    """What a builder may know of a scene handle; the rest is between source and recipe. Picklable."""

    @property
    def ref(self) -> SceneRef:
        """Which scene it is."""

    @property
    def fingerprint(self) -> str:
        """Changes with the scene's bytes as far as that is cheap to see: id, version, sizes and times or an etag."""


@dataclass(frozen=True)
class PlannedStep:
    """One time of the cube that could be made.

    Attributes
    ----------
    time : datetime64[s]
        The label of the step, UTC; unique in a plan, ascending.
    scenes : tuple of Scene
        What contributes, in the order in which the recipe prefers them.
    fingerprint : str
        `fingerprint_of` the scenes, the recipe and the grid: same fingerprint, same values.
    """

    time: np.datetime64
    scenes: tuple[Any, ...]
    fingerprint: str


@dataclass(frozen=True)
class ReportLine:
    """What became of one scene, for people: ``used``, ``skipped`` or ``replaced``, and why."""

    scene: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class VariableSpec:
    """A variable of the cube: what it means, how it is stored, shown and averaged.

    Attributes
    ----------
    dtype : {'float32', 'int16'}
        As stored; ``int16`` is packed with ``scale_factor``, the step between two stored values. In memory a step
        is always float32 with NaN.
    colours : str
        Name of a colour map.
    value_range : tuple of float or None
        What the colour map spans, in ``units``; None where the values are to tell.
    scale : {'lin', 'log'}
        How the colour map spans it.
    agg : {'mean', 'first', 'mode'}
        How coarser pixels come from finer ones.
    log_space : bool
        Average the logarithm (a geometric mean), as for concentrations, which are spread log-normally.
    """

    name: str
    long_name: str
    standard_name: str | None
    units: str
    dtype: Literal["float32", "int16"] = "float32"
    scale_factor: float | None = None
    colours: str = "viridis"
    value_range: tuple[float, float] | None = None
    scale: Literal["lin", "log"] = "lin"
    agg: Literal["mean", "first", "mode"] = "mean"
    log_space: bool = False


@dataclass(frozen=True)
class Plan:
    """What a recipe would make from a source: picklable, nothing of it has read a pixel."""

    grid: CubeGrid
    variables: tuple[VariableSpec, ...]
    steps: tuple[PlannedStep, ...]
    report: tuple[ReportLine, ...]


@dataclass(frozen=True)
class MadeStep:
    """One time of the cube.

    Attributes
    ----------
    values : mapping of str to ndarray of float32, shape (y, x)
        By variable, on the plan's grid, in the variable's units; NaN where there is none.
    sources : tuple of SceneRef
        The scenes that gave at least one pixel.
    report : tuple of ReportLine
        Scenes found broken or empty only when read.
    """

    time: np.datetime64
    values: Mapping[str, npt.NDArray[np.float32]]
    sources: tuple[SceneRef, ...]
    report: tuple[ReportLine, ...]


class SceneRecipe(Protocol):
    """How a kind of scene becomes a cube. Instances are picklable, so that Dask workers can run `make`."""

    @property
    def name(self) -> str:
        """Of the cube."""

    @property
    def version(self) -> int:
        """Raised when the same scenes give other values."""

    @property
    def title(self) -> str:
        """One line for people."""

    @property
    def description(self) -> str:
        """What is shown, from what, how merged and masked."""

    @property
    def attribution(self) -> str:
        """Whom to name beside every picture."""

    @property
    def license(self) -> str:
        """SPDX name, or where the terms are."""

    def plan(self, source: Any, area: Area, time: TimeRange, now: np.datetime64) -> Plan:
        """Decide what would be made.

        Parameters
        ----------
        source : Source
            Where scenes are found; see `xcube_cubehub.sources`.
        area : Area
            In degrees.
        time : TimeRange
            Of the sensing of scenes.
        now : datetime64[s]
            UTC; scenes from later are skipped.

        Raises
        ------
        CubeError
            The source as a whole cannot be used. A scene that cannot is a line of the report.
        """

    def make(self, plan: Plan, step: PlannedStep) -> MadeStep:
        """Read and combine the scenes of one step; a broken scene is a line of its report, never an error."""


def digest(*parts: Any) -> str:
    """SHA-256 in hex of values that JSON can hold; anything else goes in as its text."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def fingerprint_of(scenes: Iterable[Scene], recipe_digest: str, grid: CubeGrid) -> str:
    """The fingerprint of a step: a digest over the scenes in their order, the recipe and the grid."""
    return digest([scene.fingerprint for scene in scenes], recipe_digest, asdict(grid))
