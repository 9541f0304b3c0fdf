"""Several scenes of one step become one value of each pixel."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from xcube_cubehub.making.spec import RecipeFile

Layer = npt.NDArray[np.float32]


class Combiner:
    """Takes scenes in the order in which they are preferred.

    Parameters
    ----------
    recipe : RecipeFile
        Its rule: ``mean``, ``first`` or ``maximum``; see `xcube_cubehub.making.spec.Combine`.
    shape : tuple of int
        Of the grid, (y, x).
    """

    def __init__(self, recipe: RecipeFile, shape: tuple[int, int]) -> None:
        self.rule = recipe.combine.rule
        self.variables = recipe.variables
        self.leader = next(iter(recipe.variables))
        means = self.rule == "mean"
        self.totals = {
            name: np.zeros(shape) if means else np.full(shape, np.nan) for name in recipe.variables
        }
        self.counts = {name: np.zeros(shape, np.int32) for name in recipe.variables} if means else {}

    @property
    def is_full(self) -> bool:
        """Whether no further scene can change anything."""
        return self.rule == "first" and all(np.isfinite(total).all() for total in self.totals.values())

    def add(self, layers: Mapping[str, Layer]) -> bool:
        """Take a scene's layers, NaN where it has no value; whether it gave at least one pixel."""
        gave = False
        with np.errstate(invalid="ignore"):
            led = ~(layers[self.leader] <= self.totals[self.leader]) & np.isfinite(layers[self.leader])
        for name, layer in layers.items():
            there = np.isfinite(layer)
            total = self.totals[name]
            if self.rule == "mean":
                values = (
                    np.log(layer, where=there, out=np.zeros(layer.shape))
                    if self.variables[name].log_space
                    else layer
                )
                total[there] += values[there]
                self.counts[name] += there
            else:
                there = there & np.isnan(total) if self.rule == "first" else led
                total[there] = layer[there]
            gave = gave or bool(there.any())
        return gave

    def result(self) -> dict[str, Layer]:
        """One layer of each variable, float32, NaN where no scene had a value."""
        made = {}
        for name, total in self.totals.items():
            if self.rule == "mean":
                mean = np.full(total.shape, np.nan)
                np.divide(total, self.counts[name], out=mean, where=self.counts[name] > 0)
                total = np.exp(mean) if self.variables[name].log_space else mean  # noqa: PLW2901
            made[name] = total.astype(np.float32)
        return made
