"""Make the offline base map's land outlines: python scripts/make_basemap.py land-10m.json OUTPUT.npz.

Input is the TopoJSON of the npm package world-atlas (Natural Earth, public domain). Run by hand; the result is
committed. Land is cut into cells so that drawing one tile touches few points, and kept at three levels of detail.
"""

import json
import sys
from pathlib import Path

import numpy as np
import shapely

LEVELS = ((0.15, 30.0, 0.05), (0.02, 10.0, 0.0008), (0.003, 5.0, 0.0))
"""Simplification tolerance, cell size (degrees) and least area (square degrees) of each level."""
SCALE = 10_000
"""Coordinates are stored as whole 1/10000 degrees (11 m)."""


def arcs_of(topology: dict) -> list[np.ndarray]:
    """Decode the delta-encoded arcs into arrays of longitude and latitude."""
    scale, translate = (np.array(topology["transform"][k]) for k in ("scale", "translate"))
    return [np.cumsum(np.array(arc), axis=0) * scale + translate for arc in topology["arcs"]]


def ring(indices: list[int], arcs: list[np.ndarray]) -> np.ndarray:
    """Join arcs into one ring; a negative index ``~i`` is arc ``i`` backwards."""
    parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in indices]
    return np.concatenate([part if n == 0 else part[1:] for n, part in enumerate(parts)])


def unwrapped(points: np.ndarray) -> np.ndarray:
    """The ring without jumps at ±180°: world-atlas stitches what crosses there; one around the pole is led to it."""
    turns = np.cumsum(-np.round(np.diff(points[:, 0], prepend=points[0, 0]) / 360) * 360)
    out = np.stack([points[:, 0] + turns, points[:, 1]], axis=1)
    if abs(out[-1, 0] - out[0, 0]) > 180:
        out = np.concatenate([out, [[out[-1, 0], -90.0], [out[0, 0], -90.0]]])
    return out


def wrapped(polygon: shapely.Geometry) -> list[shapely.Geometry]:
    """The polygon cut at ±180° and moved back into the world."""
    parts = []
    for shift in (-360, 0, 360):
        piece = shapely.clip_by_rect(polygon, -180 + shift, -90, 180 + shift, 90)
        parts.append(shapely.transform(piece, lambda xy, shift=shift: xy - [shift, 0]))
    return parts


def land(topology: dict) -> shapely.Geometry:
    """All land as one valid geometry in degrees."""
    arcs = arcs_of(topology)
    polygons = []
    for geometry in topology["objects"]["land"]["geometries"]:
        groups = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
        for group in groups:
            shell, *holes = (unwrapped(ring(indices, arcs)) for indices in group)
            polygons += wrapped(shapely.make_valid(shapely.Polygon(shell, holes)))
    return shapely.union_all([shapely.make_valid(p) for p in polygons if not p.is_empty])


def cells(geometry: shapely.Geometry, size: float) -> list[shapely.Polygon]:
    """Cut ``geometry`` at a grid of ``size`` degrees."""
    found = []
    for west in np.arange(-180, 180, size):
        column = shapely.clip_by_rect(geometry, west, -90, west + size, 90)
        for south in np.arange(-90, 90, size):
            piece = shapely.clip_by_rect(column, west, south, west + size, south + size)
            found += [
                part for part in shapely.get_parts(shapely.make_valid(piece)) if part.geom_type == "Polygon"
            ]
    return found


def main() -> None:
    """Write one npz: per level the points, where each ring starts, and whether it is land or a hole."""
    whole = land(json.loads(Path(sys.argv[1]).read_text()))
    arrays = {}
    for number, (tolerance, size, least) in enumerate(LEVELS):
        points, starts, holes, total = [], [0], [], 0
        for polygon in cells(shapely.make_valid(whole.simplify(tolerance)), size):
            if polygon.area < least:
                continue
            for index, line in enumerate([polygon.exterior, *polygon.interiors]):
                xy = np.round(shapely.get_coordinates(line)[:-1] * SCALE).astype("int32")
                keep = np.any(xy != np.roll(xy, 1, axis=0), axis=1)
                if keep.sum() < 3:
                    continue
                points.append(xy[keep])
                total += len(points[-1])
                starts.append(total)
                holes.append(index > 0)
        arrays[f"points_{number}"] = np.diff(np.concatenate(points), axis=0, prepend=0)
        arrays[f"starts_{number}"] = np.array(starts, "int32")
        arrays[f"holes_{number}"] = np.array(holes)
        print(number, total, len(holes))  # noqa: T201
    np.savez_compressed(sys.argv[2], scale=SCALE, **arrays)


if __name__ == "__main__":
    main()
