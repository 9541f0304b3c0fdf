"""The Zarr 3 documents of a cube, and how its time axis grows in them.

References
----------
Zarr 3 core, section "Metadata"; CF 1.11, sections 3 to 5 and 8.1; the Zarr conventions "multiscales", "spatial" and
"proj", by which GDAL and others find the levels of a pyramid.
"""

import base64
import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from xcube_cubehub.errors import CubeError
from xcube_cubehub.index import PYRAMID, SERIES, Index, Variable
from xcube_cubehub.shards import COMPRESSOR, LEVEL, Layout, damaged, read_whole, write_whole

MAX_DOCUMENT_BYTES = 16 * 2**20
MAX_CHUNKS = 10**7
"""Of an array that the server opens: ten thousand times of a thousand chunks."""
TIMES_IN_A_CHUNK = 2**14
TIME_ATTRS = {
    "standard_name": "time", "axis": "T", "units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian",
}  # fmt: skip
_BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
_CONVENTIONS = (
    ("multiscales", "d35379db-88df-4056-af3a-620245f8e347"),
    ("proj:", "f17cb550-5864-4468-aeb7-f3180cfb622f"),
    ("spatial:", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4"),
)
Document = dict[str, Any]


def array_document(layout: Layout, dims: tuple[str, ...], attributes: Mapping[str, Any]) -> Document:
    """Document of an array cut into shards."""
    blosc = {
        "cname": COMPRESSOR, "clevel": LEVEL, "shuffle": "shuffle", "typesize": layout.dtype.itemsize, "blocksize": 0,
    }  # fmt: skip
    sharding = {
        "chunk_shape": list(layout.chunk),
        "codecs": [_BYTES, {"name": "blosc", "configuration": blosc}],
        "index_codecs": [_BYTES, {"name": "crc32c"}],
        "index_location": "end",
    }
    codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    fill = "NaN" if layout.fill != layout.fill else layout.fill
    return _array(layout.shape, layout.shard, layout.dtype.name, fill, codecs, dims, attributes)


def _array(
    shape: tuple[int, ...], chunk: tuple[int, ...], dtype: str, fill: object, codecs: list[Document],
    dims: tuple[str, ...], attributes: Mapping[str, Any],
) -> Document:  # fmt: skip
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": codecs,
        "attributes": dict(attributes),
        "dimension_names": list(dims),
        "storage_transformers": [],
    }


def group_document(attributes: Mapping[str, Any], arrays: Mapping[str, Document] | None = None) -> Document:
    """Document of a group, with those of its arrays inside, so that one file tells all."""
    made: Document = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
    if arrays is not None:
        made["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": dict(arrays)}
    return made


def check_documents(folder: Path) -> None:
    """Refuse a local pyramid or array store whose documents no reader should be given.

    Parameters
    ----------
    folder : path
        A group with arrays, or a folder of such groups.

    Raises
    ------
    CubeError
        A document is not there, no plain file, no JSON, or tells of more chunks than a cube has. Readers make a list of
        all chunks before they read one, so that a document of some bytes could take all memory.
    """
    groups = [folder] if (folder / "time").exists() else sorted(folder.glob("*.zarr"))
    for path in [
        p / "zarr.json" for group in groups for p in (group, *sorted(group.iterdir())) if p.is_dir()
    ]:
        try:
            document = json.loads(read_whole(path, MAX_DOCUMENT_BYTES))
            inside = (document.get("consolidated_metadata") or {}).get("metadata", {})
            sound = all(_is_sound(d) for d in (document, *inside.values()))
        except FileNotFoundError as error:
            message = f"{path} is missing"
            raise CubeError(message, "build the cube anew") from error
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise damaged(str(path)) from error
        if not sound:
            raise damaged(str(path))


def _is_sound(document: Document) -> bool:
    if document["node_type"] == "group":
        return True
    shape, chunk = document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"]
    codec = document["codecs"][0]
    if codec["name"] == "sharding_indexed":
        chunk = codec["configuration"]["chunk_shape"]
    if len(shape) != len(chunk) or not all(type(n) is int for n in (*shape, *chunk)):
        return False
    if min(shape, default=0) < 0 or min(chunk, default=1) < 1:
        return False
    chunks: int = math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True))
    return chunks <= MAX_CHUNKS


def write_document(folder: Path, document: Document) -> None:
    """Put ``zarr.json`` in place."""
    write_whole(folder / "zarr.json", json.dumps(document).encode())


def write_plain(
    folder: Path, values: np.ndarray, dims: tuple[str, ...], attributes: Mapping[str, Any]
) -> Document:
    """Write a small array, of one chunk that is not compressed; its document."""
    chunk = tuple(values.shape) or ()
    key = "c" + "".join("/0" for _ in values.shape)
    write_whole(folder / key, values.astype(values.dtype.newbyteorder("<")).tobytes())
    document = _array(chunk, chunk, values.dtype.name, 0, [_BYTES], dims, attributes)
    write_document(folder, document)
    return document


def write_times(folder: Path, times: tuple[int, ...]) -> Document:
    """Write the time axis, in seconds since 1970; its document.

    Notes
    -----
    A chunk is larger than the axis needs. So it is replaced before the document that says how much of it counts, and a
    reader in between finds the times it expects.
    """
    for number in range(0, max(len(times), 1), TIMES_IN_A_CHUNK):
        part = np.zeros(TIMES_IN_A_CHUNK, "<i8")
        given = times[number : number + TIMES_IN_A_CHUNK]
        part[: len(given)] = given
        write_whole(folder / "c" / str(number // TIMES_IN_A_CHUNK), part.tobytes())
    document = _array((len(times),), (TIMES_IN_A_CHUNK,), "int64", 0, [_BYTES], ("time",), TIME_ATTRS)
    write_document(folder, document)
    return document


def variable_attributes(variable: Variable, attributes: Mapping[str, Any]) -> Document:
    """CF attributes of a variable: its own, how it is packed, and where its grid is described."""
    made = {**attributes, "grid_mapping": "crs"}
    if variable.fill is not None:
        made["_FillValue"] = _fill_value(variable)
    if (variable.scale_factor, variable.add_offset) != (1.0, 0.0):
        made.update(scale_factor=variable.scale_factor, add_offset=variable.add_offset)
    return made


def _fill_value(variable: Variable) -> int | str:
    """How xarray writes a fill value into Zarr 3: a float as the base64 of its eight bytes, for JSON knows no NaN."""
    fill = 0.0 if variable.fill is None else variable.fill
    if np.dtype(variable.dtype).kind == "f":
        return base64.standard_b64encode(struct.pack("<d", fill)).decode()
    return int(fill)


def axis_attributes(index: Index) -> tuple[Document, Document]:
    """CF attributes of rows and columns."""
    crs = pyproj.CRS.from_user_input(index.crs)
    if crs.is_geographic:
        return (
            {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"},
            {"standard_name": "longitude", "units": "degrees_east", "axis": "X"},
        )
    unit = crs.axis_info[0].unit_name
    units = "m" if unit in {"metre", "meter"} else unit
    return (
        {"standard_name": "projection_y_coordinate", "units": units, "axis": "Y"},
        {"standard_name": "projection_x_coordinate", "units": units, "axis": "X"},
    )


def axes(index: Index, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the rows and of the columns of a level, in units of the CRS."""
    rows, columns = index.level_shape(level)
    factor = 2.0**level
    y = index.north + (np.arange(rows) + 0.5) * index.dy * factor
    x = index.west + (np.arange(columns) + 0.5) * index.dx * factor
    return y, x


def crs_attributes(index: Index) -> Document:
    """CF's description of the CRS."""
    crs = pyproj.CRS.from_user_input(index.crs)
    return {**crs.to_cf(), "spatial_ref": crs.to_wkt()}


def pyramid_attributes(index: Index) -> Document:
    """How the levels belong together."""
    layout = [
        {
            "asset": f"{level}.zarr",
            **({"derived_from": f"{level - 1}.zarr"} if level else {}),
            "transform": {"scale": [2.0**level] * 2, "translation": [0.0, 0.0]},
            "spatial:shape": list(index.level_shape(level)),
            "spatial:transform": [
                index.dx * 2**level,
                0.0,
                index.west,
                0.0,
                index.dy * 2**level,
                index.north,
            ],
        }
        for level in range(index.levels)
    ]
    rows, columns = index.shape
    ys, xs = (
        sorted((index.north, index.north + rows * index.dy)),
        (index.west, index.west + columns * index.dx),
    )
    crs = pyproj.CRS.from_user_input(index.crs)
    authority = crs.to_authority()
    code = {"proj:code": ":".join(authority)} if authority else {"proj:wkt2": crs.to_wkt()}
    return {
        "zarr_conventions": [{"name": name, "uuid": uuid} for name, uuid in _CONVENTIONS],
        "multiscales": {"layout": layout, "resampling_method": "average"},
        **code,
        "spatial:dimensions": list(index.dims),
        "spatial:bbox": [xs[0], ys[0], xs[1], ys[1]],
        "spatial:transform": [index.dx, 0.0, index.west, 0.0, index.dy, index.north],
        "spatial:shape": list(index.shape),
    }


def xcube_levels(index: Index) -> bytes:
    """``.zlevels``, by which xcube knows a folder of levels."""
    methods = {
        n: v.aggregation if v.aggregation in {"first", "mode"} else "mean" for n, v in index.variables.items()
    }
    return json.dumps({"version": "1.0", "num_levels": index.levels, "agg_methods": methods}).encode()


class Groups:
    """The groups of a cube, and what their documents say.

    Parameters
    ----------
    cube : path
        Its folder.
    attributes : mapping
        Of the cube.
    variables : mapping
        CF attributes by variable.
    """

    def __init__(
        self, cube: Path, attributes: Mapping[str, Any], variables: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._cube, self._attributes, self._variables = cube, dict(attributes), variables

    def create(self, index: Index) -> None:
        """Write the axes and the folders' descriptions, with the times that there are."""
        write_whole(self._cube / PYRAMID / ".zlevels", xcube_levels(index))
        write_document(
            self._cube / PYRAMID, group_document({**self._attributes, **pyramid_attributes(index)})
        )
        for folder, level in self._folders(index):
            y, x = axes(index, level)
            for name, values, attributes in zip(index.dims, (y, x), axis_attributes(index), strict=True):
                write_plain(folder / name, values, (name,), attributes)
            write_plain(folder / "crs", np.array(0, "int64"), (), crs_attributes(index))
        self.update(index)

    def update(self, index: Index) -> None:
        """Write how long the time axis is now; what it names has been written before."""
        for folder, level in self._folders(index):
            series = folder.name == SERIES
            times = index.times[: index.series_steps] if series else index.times
            arrays = {"time": write_times(folder / "time", times)}
            for name in (*index.dims, "crs"):
                arrays[name] = json.loads((folder / name / "zarr.json").read_bytes())
            for name, variable in index.variables.items():
                layout = index.series_layout(name) if series else index.layout(name, level)
                attributes = variable_attributes(variable, self._variables.get(name, {}))
                found = index.statistics.get(name)
                if found is not None and not (level or (series and len(times) < len(index.times))):
                    attributes["actual_range"] = [found.minimum, found.maximum]
                arrays[name] = array_document(layout, ("time", *index.dims), attributes)
                write_document(folder / name, arrays[name])
            span = {}
            if times:
                ends = (np.datetime64(times[0], "s"), np.datetime64(times[-1], "s"))
                span = {"time_coverage_start": f"{ends[0]}Z", "time_coverage_end": f"{ends[1]}Z"}
            write_document(folder, group_document({**self._attributes, **span}, arrays))

    def _folders(self, index: Index) -> list[tuple[Path, int]]:
        pyramid = [(self._cube / PYRAMID / f"{level}.zarr", level) for level in range(index.levels)]
        return [*pyramid, (self._cube / SERIES, 0)]
