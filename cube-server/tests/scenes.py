"""Scenes made up for tests, laid out as the agencies lay theirs out."""

import json
from pathlib import Path

import netCDF4
import numpy as np
import rasterio
from affine import Affine

# Bits of WQSF as OLCI level 2 water products list them in flag_masks.
LOW = (
    "INVALID WATER LAND CLOUD SNOW_ICE INLAND_WATER TIDAL COSMETIC SUSPECT HISOLZEN SATURATED MEGLINT HIGHGLINT "
    "WHITECAPS ADJAC WV_FAIL PAR_FAIL AC_FAIL OC4ME_FAIL OCNN_FAIL"
)
WQSF = {name: 1 << bit for bit, name in enumerate(LOW.split())}
WQSF |= {"KDM_FAIL": 1 << 21, "CLOUD_AMBIGUOUS": 1 << 23, "CLOUD_MARGIN": 1 << 24}
WQSF |= {f"RWNEG_O{band}": 1 << (39 + band) for band in range(1, 13)}
WFR = (
    "S3{unit}_OL_2_WFR____{start}_{stop}_{made}_0179_{cycle}_187_{frame}_MAR_O_{timeliness}_{collection}.SEN3"
)
FILES = {"chl_nn": "CHL_NN", "tsm_nn": "TSM_NN", "chl_oc4me": "CHL_OC4ME", "trsp": "KD490_M07"}
UNITS = {"tsm_nn": "lg(re g.m-3)", "trsp": "lg(re m-1)"}


def wfr_name(**changes):
    parts = {"unit": "A", "start": "20230610T095000", "stop": "20230610T095300", "made": "20230611T120000"}
    parts |= {"cycle": "117", "frame": "2520", "timeliness": "NT", "collection": "003"}
    return WFR.format(**(parts | changes))


def make_wfr(folder: Path, lon, lat, codes, flags, *, claim=1, leave_out=(), **changes) -> Path:
    """A product whose values are 10 ** (0.02 n - 2) for the uint8 codes n; ``claim`` falsifies sizes in the manifest."""
    product = folder / wfr_name(**changes)
    product.mkdir(parents=True)

    def write(stem, variables):
        with netCDF4.Dataset(product / f"{stem}.nc", "w") as nc:
            nc.createDimension("rows", lon.shape[0])
            nc.createDimension("columns", lon.shape[1])
            for name, (stored, attrs) in variables.items():
                made = nc.createVariable(
                    name, stored.dtype, ("rows", "columns"), fill_value=attrs.pop("_FillValue", None)
                )
                made.set_auto_maskandscale(False)
                made.setncatts(attrs)
                made[:] = stored

    micro = {"scale_factor": 1e-6, "units": "degrees"}
    write("geo_coordinates", {
        "longitude": (np.round(lon * 1e6).astype(np.int32), dict(micro)),
        "latitude": (np.round(lat * 1e6).astype(np.int32), dict(micro)),
    })  # fmt: skip
    for stem, name in FILES.items():
        if stem not in leave_out:
            packing = {
                "scale_factor": np.float32(0.02),
                "add_offset": np.float32(-2),
                "_FillValue": np.uint8(255),
            }
            write(stem, {name: (codes, {**packing, "units": UNITS.get(stem, "lg(re mg.m-3)")})})
    meanings = {"flag_masks": np.array(list(WQSF.values()), np.uint64), "flag_meanings": " ".join(WQSF)}
    write("wqsf", {"WQSF": (flags.astype(np.uint64), meanings)})
    corners = [(0, 0), (0, -1), (-1, -1), (-1, 0), (0, 0)]
    positions = " ".join(f"{lat[at]:.4f} {lon[at]:.4f}" for at in corners)
    objects = "".join(
        f'<dataObject><byteStream size="{path.stat().st_size * claim}"><fileLocation href="./{path.name}"/></byteStream></dataObject>'
        for path in sorted(product.glob("*.nc"))
    )
    (product / "xfdumanifest.xml").write_text(
        '<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:gml="http://www.opengis.net/gml">'
        f"<gml:posList>{positions}</gml:posList>{objects}</xfdu:XFDU>"
    )
    return product


def write_tile(path: Path, values, transform, crs="EPSG:32633"):
    """A GeoTIFF."""
    size = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, nodata=0, **size) as made:
        made.write(values, 1)


def make_s2(
    folder: Path,
    red,
    nir,
    scl,
    *,
    identity="S2A_33TWM_20230815_0_L2A",
    take="20230815T095031",
    baseline="05.09",
    properties=None,
    offset=-0.1,
    cloud=10.0,
    transform=None,
    tile="33TWM",
    bbox=(14.99, 46.0, 15.5, 46.4),
):
    """An item as Earth Search has it, and its three files; returns the item's path."""
    there = folder / identity
    there.mkdir(parents=True)
    transform = transform or Affine(20, 0, 500000, 0, -20, 5100000)
    bands = {"red": ("B04.tif", red), "nir": ("B08.tif", nir), "scl": ("SCL.tif", scl)}
    west, south, east, north = bbox
    for name, values in bands.values():
        factor = red.shape[0] / values.shape[0]
        write_tile(there / name, values, transform * Affine.scale(factor), f"EPSG:326{tile[:2]}")
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": identity, "collection": "sentinel-2-l2a", "bbox": list(bbox),
        "geometry": {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]},
        "properties": {
            "datetime": f"{take[:4]}-{take[4:6]}-{take[6:8]}T09:57:57.246000Z", "platform": "sentinel-2a", "constellation": "sentinel-2",
            "grid:code": f"MGRS-{tile}", "s2:processing_baseline": baseline, "eo:cloud_cover": cloud, "s2:product_type": "S2MSI2A",
            "s2:datatake_id": f"GS2A_{take}_042547_N{baseline}", "s2:generation_time": "2023-08-15T15:50:57.000000Z",
            **(properties or {}),
        },
        "links": [],
        "assets": {
            key: {"href": name, "raster:bands": [{"scale": 0.0001, "offset": offset, "nodata": 0}] if key != "scl" else []}
            for key, (name, _) in bands.items()
        },
    }  # fmt: skip
    path = there / f"{identity}.json"
    path.write_text(json.dumps(item))
    return path


def catalogue(folder: Path, items) -> Path:
    """A static catalogue of items below its folder."""
    links = [{"rel": "item", "href": f"./{path.relative_to(folder)}"} for path in items]
    path = folder / "catalog.json"
    path.write_text(
        json.dumps(
            {"type": "Catalog", "id": "test", "stac_version": "1.0.0", "description": "", "links": links}
        )
    )
    return path


def make_safe(
    folder: Path,
    red,
    nir,
    scl,
    *,
    transform=None,
    name="S2A_MSIL2A_20230815T095031_N0509_R079_T33TWM_20230815T155057.SAFE",
):
    """A Sentinel-2 level 2A product in ESA's layout, as JPEG 2000."""
    transform = transform or Affine(20, 0, 500000, 0, -20, 5100000)
    images = folder / name / "GRANULE" / "L2A_T33TWM_A042547_20230815T095630" / "IMG_DATA"
    for stem, values, edge in (("B04", red, 10), ("B08", nir, 10), ("SCL", scl, 20)):
        path = images / f"R{edge}m" / f"T33TWM_20230815T095031_{stem}_{edge}m.jp2"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype}
        quality = {"REVERSIBLE": "YES", "QUALITY": "100"}
        with rasterio.open(
            path, "w", driver="JP2OpenJPEG", crs="EPSG:32633", transform=transform, **size, **quality
        ) as made:
            made.write(values, 1)
    offsets = "".join(f'<BOA_ADD_OFFSET band_id="{band}">-1000</BOA_ADD_OFFSET>' for band in range(13))
    (folder / name / "MTD_MSIL2A.xml").write_text(
        '<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">'
        "<PRODUCT_START_TIME>2023-08-15T09:50:31.024Z</PRODUCT_START_TIME>"
        f"<BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>{offsets}"
        "<EXT_POS_LIST>46.4 14.9 46.4 15.5 45.9 15.5 45.9 14.9 46.4 14.9</EXT_POS_LIST>"
        "<Cloud_Coverage_Assessment>12.5</Cloud_Coverage_Assessment></n1:Level-2A_User_Product>"
    )
    return folder / name
