"""Recipes from files: what they plan and how a step is made."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from xcube_cubehub.cubegrid import Area, CubeGrid
from xcube_cubehub.errors import CubeError, RecipeError, SceneBrokenError
from xcube_cubehub.making.combining import Combiner
from xcube_cubehub.making.native import Native, variables_of
from xcube_cubehub.making.planning import make_plan
from xcube_cubehub.making.rasters import read_raster
from xcube_cubehub.making.spec import GridSpec, RecipeFile, parse_recipe, read_recipe
from xcube_cubehub.making.swaths import read_swath
from xcube_cubehub.sources.model import SceneHandle, Source, skipped
from xcube_cubehub.steps import MadeStep, Plan, PlannedStep, TimeRange, digest

LOG = logging.getLogger(__name__)

ENGINE = 1
"""Raised when the same recipe and the same scenes give other values than before."""

Layers = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class FileRecipe:
    """A recipe as its file says; a `SceneRecipe`.

    Attributes
    ----------
    spec : RecipeFile
        The file.
    """

    spec: RecipeFile

    @property
    def name(self) -> str:
        """Of the cube."""
        return self.spec.name

    @property
    def version(self) -> int:
        """Of the recipe."""
        return self.spec.version

    @property
    def title(self) -> str:
        """One line for people."""
        return self.spec.title

    @property
    def description(self) -> str:
        """What is shown, and how it is made."""
        return self.spec.description

    @property
    def attribution(self) -> str:
        """Whom to name."""
        return self.spec.attribution

    @property
    def license(self) -> str:
        """Of the cube."""
        return self.spec.license

    @cached_property
    def digest(self) -> str:
        """Changes with all that changes values."""
        return digest(
            ENGINE,
            self.spec.model_dump(mode="json", exclude={"title", "description", "attribution", "license"}),
        )

    def with_grid(self, crs: str, resolution: float) -> "FileRecipe":
        """The same recipe on another grid.

        Raises
        ------
        RecipeError
            An unknown CRS, or a resolution that is not positive.
        """
        try:
            grid = GridSpec(crs=crs, resolution=resolution, zones=self.spec.grid.zones)
        except ValueError as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise RecipeError(
                f"there is no grid {crs[:80]}@{resolution:g}: {why}",
                "write CRS@STEP with EPSG:n or utm, and a step above 0 in the CRS's unit, such as EPSG:32633@20",
            ) from error
        return FileRecipe(self.spec.model_copy(update={"grid": grid}))

    def plan(self, source: Source, area: Area, time: TimeRange, now: np.datetime64) -> Plan:
        """Decide what would be made; see `xcube_cubehub.steps.SceneRecipe.plan`."""
        return make_plan(self.spec, self.digest, source.find(area, time), area, time, now)

    def make(self, plan: Plan, step: PlannedStep) -> MadeStep:
        """Read and combine the scenes of one step.

        A scene that breaks while it is read leaves nothing behind but a line of the report.
        """
        combiner = Combiner(self.spec, plan.grid.shape)
        report, sources = [], []
        for scene in step.scenes:
            if combiner.is_full:
                break
            try:
                layers = layers_of(scene, self.spec, plan.grid)
            except CubeError as error:
                report.append(skipped(scene.name, error.message))
                continue
            except Exception as error:  # bytes of a scene may do anything; the build goes on
                LOG.warning("%s failed", scene.name, exc_info=True)
                report.append(skipped(scene.name, f"it cannot be read: {type(error).__name__}: {error}"))
                continue
            if layers is None:
                report.append(skipped(scene.name, "outside the area: none of its pixels lies on the grid"))
            elif not any(np.isfinite(layer).any() for layer in layers.values()):
                report.append(skipped(scene.name, "no pixels in the area: all are masked or empty"))
            elif combiner.add(layers):
                sources.append(scene.ref)
        return MadeStep(step.time, combiner.result(), tuple(sources), tuple(report))


def layers_of(scene: SceneHandle, recipe: RecipeFile, grid: CubeGrid) -> Layers | None:
    """The variables of one scene on the grid; None if it does not reach the grid.

    Raises
    ------
    SceneBrokenError
        The scene cannot be used.
    """
    layers: Layers = {name: np.full(grid.shape, np.nan, np.float32) for name in recipe.variables}
    reached, missing = False, True
    for native in _pieces(scene, recipe, grid):
        reached = True
        for name, values in variables_of(recipe, native).items():
            variable = recipe.variables[name]
            layers[name][native.window] = native.place(values, variable.agg, variable.log_space)
            missing = False
    if reached and missing:
        raise SceneBrokenError("it has the bands of none of the variables")
    return layers if reached else None


def _pieces(scene: SceneHandle, recipe: RecipeFile, grid: CubeGrid) -> Iterator[Native]:
    reader = read_swath if scene.kind in {"s3-olci-wfr", "olci-c2rcc"} else read_raster
    return reader(scene, recipe, grid)


def shipped_recipes() -> dict[str, FileRecipe]:
    """The recipes that come along, by name."""
    return {recipe.name: recipe for recipe in map(_shipped, _files())}


def load_recipe(name: str | Path) -> FileRecipe:
    """A recipe by the name of one that comes along, or by the path of its file.

    Raises
    ------
    RecipeError
        There is none, or it says something impossible.
    """
    shipped = {str(file.name).removesuffix(".yaml"): file for file in _files()}
    if str(name) in shipped:
        return _shipped(shipped[str(name)])
    path = Path(name)
    if not path.is_file():
        raise RecipeError(
            f"there is no recipe {name}", f"give a file, or one of {', '.join(sorted(shipped))}"
        )
    return FileRecipe(read_recipe(path))


def _files() -> list[Any]:
    folder = resources.files("xcube_cubehub.recipes")
    return sorted(
        (file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name
    )


def _shipped(file: Any) -> FileRecipe:
    return FileRecipe(parse_recipe(file.read_bytes(), file.name))
