"""What a source gives: scenes that might contribute, and why others cannot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from xcube_cubehub.steps import Area, ReportLine, SceneRef, TimeRange

Kind = Literal["s3-olci-wfr", "olci-c2rcc", "s2-l2a", "cube"]
"""Kinds of scenes: OLCI level 2 water in SAFE folders, OLCI by C2RCC as one swath, Sentinel-2 level 2A as rasters, and
a time of a dataset that is a cube already."""

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Asset:
    """One file of a scene.

    Attributes
    ----------
    href : str
        A path or an address.
    scale, offset : float
        Value = stored * scale + offset; only for rasters, NetCDF says it itself.
    nodata : float or None
        Stored number that means none.
    problem : str
        Why it cannot be read, as far as its name and size tell; empty if nothing speaks against it.
    """

    href: str
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class SceneHandle:
    """A scene with all that is needed to read it, in any process.

    Attributes
    ----------
    kind : Kind
        What it is.
    name : str
        Of the product, as people know it.
    key : str
        Two scenes with one key show the same; the higher ``rank`` wins.
    rank : tuple of str
        Baseline, timeliness, creation; compared as text, each zero-filled.
    assets : mapping of str to Asset
        By the source's own names.
    bounds : tuple of float or None
        West, south, east, north in degrees, east above west (it may pass 180); None if unknown.
    cloud_cover : float or None
        Per cent.
    crs : str
        Of rasters, empty if only the file knows.
    options : mapping of str to str
        What a reader needs besides: a store's parameters (not shown, they may hold a key), the position in time.
    """

    ref: SceneRef
    fingerprint: str
    kind: Kind
    name: str
    key: str
    rank: tuple[str, ...] = ()
    assets: Mapping[str, Asset] = field(default_factory=dict)
    bounds: Bounds | None = None
    cloud_cover: float | None = None
    crs: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Found:
    """Scenes of a source, and lines on what there is not one."""

    scenes: tuple[SceneHandle, ...] = ()
    report: tuple[ReportLine, ...] = ()

    def __add__(self, other: "Found") -> "Found":
        return Found(self.scenes + other.scenes, self.report + other.report)


class Source(Protocol):
    """A place where scenes are found."""

    @property
    def title(self) -> str:
        """For people and logs; without credentials."""

    def find(self, area: Area, time: TimeRange) -> Found:
        """Scenes that may touch an area and a time; the planner looks closer.

        Raises
        ------
        CubeError
            The source as a whole cannot be used.
        """


def skipped(scene: str, reason: str) -> ReportLine:
    """A line on a scene that is left out."""
    return ReportLine(scene[:300], "skipped", " ".join(reason.split())[:300])


def unwrapped_bounds(lon: list[float], lat: list[float]) -> Bounds | None:
    """The box around points in degrees: where they jump by more than half the globe, it passes 180 instead.

    Near a pole, where a scene may truly lie all around, it is the whole circle. None if a number is no place.
    """
    if (
        not lon
        or any(not -360 <= value <= 360 for value in lon)
        or any(not -90 <= value <= 90 for value in lat)
    ):
        return None
    if max(lon) - min(lon) > 180 and (max(lat) > 80 or min(lat) < -80):
        return -180.0, min(lat), 180.0, max(lat)
    if max(lon) - min(lon) > 180:
        lon = [value + 360 if value < 0 else value for value in lon]
    return min(lon), min(lat), max(lon), max(lat)
