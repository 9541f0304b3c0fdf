"""What a recipe is and what it gives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr

from xcube_cubehub.errors import SourceMissingError
from xcube_cubehub.index import Style

SENTINEL = "contains modified Copernicus Sentinel data"


@dataclass(frozen=True)
class Made:
    """A cube at its finest level, ready to be written.

    Attributes
    ----------
    dataset : Dataset, dims (time, y, x) or (time, lat, lon)
        Variables as float32 with NaN where there is no value, CF attributes set.
    packing : dict of str to float
        Variables to be stored as int16, with the step between two stored values.
    crs : str
        For example ``EPSG:4326``.
    styles : dict of str to Style
        By variable how it is shown; its tiles are made beforehand.
    """

    dataset: xr.Dataset
    crs: str
    packing: dict[str, float] = field(default_factory=dict)
    styles: dict[str, Style] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """How one cube is made.

    Attributes
    ----------
    name : str
        Of the cube: its folder, its dataset id, its STAC item id.
    version : int
        Raised when the same inputs give another cube, so that it is built anew.
    inputs : tuple of str
        Paths under the source folder of which the first that exists is read; none for made-up data.
    """

    name: str
    version: int
    title: str
    attribution: str
    license: str
    description: str
    make: Callable[[Path | None], Made]
    inputs: tuple[str, ...] = ()
    synthetic: bool = False

    def find_input(self, source: Path | None) -> Path | None:
        """The input of this recipe under ``source``, None for a recipe without one.

        Raises
        ------
        SourceMissingError
            No source folder was named, or none of the inputs lies in it.
        """
        if not self.inputs:
            return None
        if source is None:
            message = f"{self.name} is made from data, and no source folder was named"
            raise SourceMissingError(
                message, "give --source DIR, the folder with the sample crops or the full data"
            )
        for name in self.inputs:
            if (source / name).is_dir():
                return source / name
        message = f"{self.name}: neither {' nor '.join(self.inputs)} in {source}"
        raise SourceMissingError(
            message,
            "for a cube from scenes say --area too; else give --source the folder with the sample crops or the full data",
        )
