"""What kernels of the environment under test are asked after a cell: its text is put behind the cell's.

It compares with the files as rasterio alone reads them, and with areas as shapely alone has them.
"""

import importlib
from typing import Any

np: Any = importlib.import_module("numpy")
pyproj: Any = importlib.import_module("pyproj")
rasterio: Any = importlib.import_module("rasterio")
shapely: Any = importlib.import_module("shapely")
geometry: Any = importlib.import_module("shapely.geometry")
AREA, ALIKE = 0.01, 1e-6
"""Share of a pixel that belongs to neither side of an edge, and metres by which a middle may be beside itself."""


def native(ds: Any, items: Any, band: str) -> dict[str, Any]:
    """Compare a stack with the files: where and what each pixel is, and that there are no others.

    Returns
    -------
    dict
        ``files`` and ``cube``: numbers of pixels that are not no-data in each; ``wrong``: those that differ.
    """
    wrong = stored = 0
    y, x = ds[band].dims[-2:]
    for item in items:
        with rasterio.open(item.assets[band].href) as file:
            values, move = file.read(1), file.transform
        xs = move.c + move.a * (np.arange(values.shape[1]) + 0.5)
        ys = move.f + move.e * (np.arange(values.shape[0]) + 0.5)
        # of an area only what lies in it
        columns, rows = (
            np.flatnonzero((middles > float(axis.min()) - ALIKE) & (middles < float(axis.max()) + ALIKE))
            for middles, axis in ((xs, ds[x]), (ys, ds[y]))
        )
        values = values[np.ix_(rows, columns)]
        wanted = {x: xs[columns], y: ys[rows]}
        when = np.datetime64(item.datetime.replace(tzinfo=None))
        part = ds[band].sel(time=when).sel(wanted, method="nearest", tolerance=ALIKE).values
        wrong += int((~((part == values) | (np.isnan(part) & np.isnan(values)))).sum())
        stored += int(np.isfinite(values).sum())
    return {
        "wrong": wrong,
        "files": stored,
        "cube": int(np.isfinite(ds[band].values).sum()),
        "shape": list(ds[band].shape[1:]),
    }


def touched(values: Any, aoi: Any, crs: str) -> dict[str, int]:
    """Compare a map with an area: each pixel that touches it is there, and no other.

    Parameters
    ----------
    values
        With coordinates x and y.
    aoi
        GeoJSON in degrees.
    crs
        Of the coordinates.
    """
    move = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform
    fine = shapely.segmentize(geometry.shape(aoi), 0.0005)
    area = shapely.transform(fine, lambda corners: np.column_stack(move(*corners.T)))
    x, y = np.meshgrid(values.x.values, values.y.values)
    half = abs(float(values.x[1] - values.x[0])) / 2
    pixels = shapely.box(x - half, y - half, x + half, y + half)
    shares = shapely.area(shapely.intersection(pixels, area)) / (2 * half) ** 2
    there = np.isfinite(values.values)
    return {
        "missing": int((~there & (shares > AREA)).sum()),
        "beyond": int((there & (shapely.distance(pixels, area) > AREA * half)).sum()),
        "there": int(there.sum()),
        "away": int((~there).sum()),
    }


def within(values: Any, aoi: Any, x: str, y: str, crs: str = "EPSG:4326") -> dict[str, int]:
    """Compare a map with an area: each pixel whose middle is in it is there, and no other."""
    xs, ys = np.meshgrid(values[x].values, values[y].values)
    move = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform
    xs, ys = move(xs, ys) if crs != "EPSG:4326" else ((xs + 180) % 360 - 180, ys)
    area, middles = geometry.shape(aoi), shapely.points(xs, ys)
    there = np.isfinite(values.values)
    at_edge = shapely.distance(area.boundary, middles) < ALIKE
    inside = shapely.contains(area, middles)
    return {
        "missing": int((~there & inside & ~at_edge).sum()),
        "beyond": int((there & ~inside & ~at_edge).sum()),
        "there": int(there.sum()),
        "away": int((~there).sum()),
    }
