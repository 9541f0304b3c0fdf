"""Every route of xcube with values nobody means: each is refused with a reason or answered, none is a server error."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode

import pytest
import requests

pytestmark = pytest.mark.slow

DEMO, UTM = "olci-water-quality-demo", "msi-ndvi"
PATIENCE_S = 120
"""Coverages are computed one by one, and the machine may have other work."""
POINT = {"type": "Point", "coordinates": [27.45, 58.8]}
SQUARE = [[27, 58.5], [27.2, 58.5], [27.2, 58.7], [27, 58.7], [27, 58.5]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE]}

HOSTILE = (
    "", "nope", "nan", "-1", "1e21", "5000", "9" * 5000, "\0漢\n", "../../../../etc/passwd", "<b>'\"%s{0}",
    "nan,nan,nan,nan", '{"a":' * 3000,
)  # fmt: skip
"""For each parameter, whatever its type."""
FREE_TEXT = {
    "prefix",
    "delimiter",
    "start-after",
    "continuation-token",
    "marker",
    "debug",
    "retina",
    "details",
    "query",
}
"""Any text will do here, so a few of them are enough."""

GOOD = {
    "datasetId": DEMO, "collectionId": DEMO, "featureId": DEMO, "varName": "conc_chl", "dimName": "time",
    "placeGroupId": "all", "varExpr": "conc_chl+1", "z": "9", "y": "154", "x": "295",
    "tmsId": "WorldCRS84Quad", "bucket": "datasets", "key": f"{DEMO}.zarr/zarr.json",
}  # fmt: skip
"""The path of a request that would succeed."""

TILE = ("crs", "vmin", "vmax", "cmap", "cbar", "norm", "time", "format", "retina", "debug")
COVERAGE = (
    "f", "bbox", "bbox-crs", "datetime", "properties", "subset", "subset-crs", "scale-factor", "scale-axes",
    "scale-size", "crs",
)  # fmt: skip
UNDESCRIBED = {
    "/tiles/{datasetId}/{varName}/{z}/{y}/{x}": (*TILE, "r", "g", "b", "rvmin", "gvmax"),
    "/tiles/{datasetId}/{varName}/legend": ("norm", "cbar"),
    "/datasets/{datasetId}/vars/{varName}/legend.png": ("norm", "cbar"),
    "/wmts/1.0.0/tile/{datasetId}/{varName}/{z}/{y}/{x}.png": (*TILE, "tilematrixset", "VMIN"),
    "/wmts/1.0.0/tile/{datasetId}/{varName}/{tmsId}/{z}/{y}/{x}.png": (*TILE, "VMIN"),
    "/wmts/kvp": (
        *TILE, "service", "request", "version", "layer", "tilematrixset", "tilematrix", "tilerow", "tilecol", "Layer",
    ),
    "/timeseries/{datasetId}/{varName}": ("time", "lat", "lon"),
    "/statistics/{datasetId}/{varName}": ("debug",),
    "/places/{placeGroupId}/{datasetId}": ("query", "comb"),
    "/ogc/collections/{collectionId}/coverage": COVERAGE,
    "/ogc/collections/{collectionId}/items": ("limit", "cursor"),
    "/ogc/search": ("limit", "bbox"),
}  # fmt: skip
"""Query arguments that xcube reads and does not describe."""

KVP = {
    "service": "WMTS", "request": "GetTile", "version": "1.0.0", "layer": f"{DEMO}.conc_chl", "format": "image/png",
    "tilematrixset": "WorldWebMercatorQuad", "tilematrix": "9", "tilerow": "154", "tilecol": "295",
}  # fmt: skip

BODIES = (
    b"", b"{", b"null", b"1", b"[1]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000,
    *(
        json.dumps(body).encode()
        for body in (
            {}, {"type": "Point"}, {"type": "Point", "coordinates": []}, {"type": "Point", "coordinates": None},
            {"type": "Point", "coordinates": [1]}, {"type": "Point", "coordinates": ["a", "b"]},
            {"type": "Point", "coordinates": [float("nan"), 1]}, {"type": "Point", "coordinates": [1e400, 1]},
            {"type": "Point", "coordinates": [1e300, 1e300]}, {"type": "Point", "coordinates": {"a": 1}},
            {"type": "Point", "coordinates": [10**400, 1]}, {"type": ["Point"], "coordinates": [1, 2]},
            {"type": "Polygon", "coordinates": []}, {"type": "Polygon", "coordinates": [[[1, 2]]]},
            {"type": "Polygon", "coordinates": [[27, 58]]},
            {"type": "Polygon", "coordinates": [[[27, 58], [28, 59], [27, 59], [28, 58], [27, 58]]]},
            {"type": "Polygon", "coordinates": [[[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, -1e9]]]},
            {"type": "LineString", "coordinates": [[27, 58.5], [27.2, 58.7]]},
            {"type": "LineString", "coordinates": [[27, 58.5]]},
            {"type": "MultiPoint", "coordinates": [[27, 58.5], [27.2, 58.7]]},
            {"type": "MultiPolygon", "coordinates": [[[1]]]},
            {"type": "GeometryCollection", "geometries": []}, {"type": "GeometryCollection", "geometries": [1]},
            {"type": "GeometryCollection", "geometries": [POINT, POLYGON]}, {"type": "GeometryCollection"},
            {"type": "Feature", "geometry": None}, {"type": "Feature", "geometry": POLYGON, "properties": {}},
            {"type": "Feature"}, {"type": "Feature", "geometry": {"type": "Feature", "geometry": POINT}},
            {"type": "FeatureCollection", "features": []}, {"type": "FeatureCollection", "features": [None, 1]},
            {"type": "FeatureCollection", "features": None}, {"type": "Circle", "coordinates": [1, 2], "radius": 3},
        )
    ),
)  # fmt: skip


def sensible(text):
    """Values that are well formed and still cannot be served, by what the name of a parameter suggests."""
    return {
        "bbox": ("27,58,26,57", "-1e9,-1e9,1e9,1e9", "27,58.5,27.2,58.7"),
        "time": ("bad", "9999-12-31T23:59:59Z", "1000-01-01", "2020-07-01T00:00:00+14:00", "2020-07-01/x", "NaT"),
        "startDate": ("bad", "9999-12-31", "0001-01-01", "NaT", "2020-07-01T00:00:00+14:00"),
        "endDate": ("bad", "9999-12-31", "0001-01-01", "NaT", "1677-09-21"),
        "datetime": ("2020-07-01T00:00:00Z", "../..", "2020-07-01T00:00:00Z/2019-07-01T00:00:00Z", "9999-12-31T00:00:00Z"),
        "subset": ("lat(a:b)", "lat(58:59)", "lat(58)", "time(bad)", "Lat(1:*)", "nope(1)", 'time("2020-07-01":"*")', "lon(nan:nan)"),
        "crs": ("EPSG:3857", "EPSG:99999", "EPSG:4978", "EPSG:5773", "+init=/etc/passwd:x", "EPSG:32633"),
        "scale-size": ("lat(0),lon(0)", "lat(1),lon(1)", "nope(3)", "lat(1e9)", "lat(1.1.1)"),
        "scale-axes": ("lat(0),lon(0)", "lat(2)", "lat(2),lon(2)", "nope(3)"),
        "scale-factor": ("2", "-2", "inf"),
        "properties": ("conc_chl", "conc_chl,nope", "crs"),
        "f": ("png", "geotiff", "netcdf", "html", "json"),
        "varName": ("lat", "time", "crs", "rgb", "a=conc_chl+1", "a=nope+1", "=", "a=", "a=1", "a=where(1)"),
        "varExpr": ("nope", "1", "conc_chl+", "where(conc_chl>1,1)", "conc_chl/0", "__import__"),
        "cmap": ('{"name":"x"}', '{"name":"x","type":"t","colors":[[1]]}', "viridis_r_alpha",
                 '{"name":"a","type":"categorical","colors":[[1,"red"]]}', '{"name":"a","type":"continuous","colors":[[0,"nocolour"],[1,"b"]]}'),
        "norm": ("log", "cat", "lin"),
        "vmax": ("-1e308", "inf"),
        "key": (f"{DEMO}.zarr", f"{DEMO}.zarr/", f"{DEMO}.zarr/conc_chl", f"{DEMO}.zarr//etc/hostname", "/", f"{DEMO}.zarr/conc_chl/0.0.99"),
        "comb": ("or",),
        "aggMethods": ("mean,nope", ",", "std", "count", "mean,median,std,min,max,count"),
        "maxValids": ("-2", "3"),
        "tolerance": ("1e15",),
        "list-type": ("1", "2"),
        "dimName": ("lat", "conc_chl"),
        "geom": ("POINT (27 58)", "POINT (nan nan)", "POLYGON ((0 0))", "POINT EMPTY"),
    }.get(text, ())  # fmt: skip


BASES = {
    "/wmts/kvp": KVP,
    "/statistics/{datasetId}/{varName}": {"lon": "27.45", "lat": "58.8"},
    "/ogc/collections/{collectionId}/coverage": {
        "f": "netcdf", "bbox": "14.55,45.87,14.555,45.875", "datetime": "2016-07-01T00:00:00Z",
    },
    "/volumes/{datasetId}/{varName}": {"bbox": "27,58.5,27.2,58.7", "startDate": "2020-06-01", "endDate": "2020-07-01"},
}  # fmt: skip
"""The query of a request that would succeed, where a route takes one."""


def address(route, arguments, query):
    path = route
    for name, value in {
        **GOOD,
        **({"collectionId": UTM} if "coverage" in route else {}),
        **arguments,
    }.items():
        path = path.replace(f"{{{name}}}", quote(value, safe="")).replace(f"{{*{name}}}", quote(value))
    return f"{path}?{urlencode(query)}" if query else path


def wrong_arguments(route, base):
    """Addresses in which one part of the path is wrong."""
    for name in (n for n in GOOD if f"{{{n}}}" in route or f"{{*{n}}}" in route):
        for value in (*HOSTILE, *sensible(name), DEMO, UTM):
            yield address(route, {name: value}, base)


def wrong_parameters(route, base, described):
    """Addresses in which one parameter of the query is wrong or missing."""
    names = [n for n in dict.fromkeys([*described, *UNDESCRIBED.get(route, ())]) if f"{{{n}}}" not in route]
    for name in names:
        for value in (*HOSTILE[:: 4 if name in FREE_TEXT else 1], *sensible(name)):
            yield address(route, {}, {**base, name: value})
    for name in base:
        yield address(route, {}, {n: v for n, v in base.items() if n != name})


def cases(description, prefix):
    """Requests (method, path with query, headers, body): one thing is wrong in each."""
    calls = [
        (template.removeprefix(prefix), method, call or {})
        for template, methods in description["paths"].items()
        for method, call in methods.items()
        if method != "description"
    ]
    for route, method, call in calls:
        described = [p["name"] for p in call.get("parameters", []) if p["in"] == "query"]
        base = BASES.get(route, {})
        body = json.dumps(POINT).encode() if method == "post" else None
        right = address(route, {}, base)
        for path in (right, *wrong_arguments(route, base), *wrong_parameters(route, base, described)):
            yield method.upper(), path, {}, body
        for accept in ("x/y;q=a", ""):
            yield method.upper(), right, {"Accept": accept}, body
        for payload in BODIES if method == "post" else ():
            yield "POST", right, {}, payload
            if "{datasetId}" in route:
                other = {"datasetId": UTM, "varName": "ndvi"}
                yield "POST", address(route, other, {"aggMethods": "mean,count"}), {}, payload


BOX, UTM_BOX = "bbox=27,58.5,27.2,58.7", "bbox=14.55,45.87,14.555,45.875"
DAY = "datetime=2016-07-01T00:00:00Z"
EXPRESSIONS = (
    "9**9**9**9", "conc_chl&1", "~conc_chl", "gcd(conc_chl,1)", "matmul(conc_chl,conc_chl)", "frexp(conc_chl)",
    "conc_chl if conc_chl else 1", "conc_chl[0]", "crs", "conc_chl+lat", "conc_chl/0*1e308*1e308", "conc_chl==1",
)  # fmt: skip


def coverages():
    """Coverages whose parts are fine one by one and wrong, empty or costly together."""
    demo, utm = f"/ogc/collections/{DEMO}/coverage?f=netcdf", f"/ogc/collections/{UTM}/coverage?f=netcdf"
    yield from (
        demo,
        f"{demo}&{BOX}&properties=kd489&f=png",
        f"{demo}&{BOX}&{DAY}",
        f"{demo}&{BOX}&subset=lat(1:2)",
    )
    for crs in ("EPSG:3857", "EPSG:4326", "EPSG:3301", "EPSG:27700", "EPSG:2193", "EPSG:3413"):
        yield f"{utm}&{UTM_BOX}&{DAY}&crs={crs}"
        for name in ("bbox-crs", "subset-crs"):
            yield f"{utm}&{UTM_BOX}&{DAY}&{name}={crs}&subset=Lat(45.86:45.88)"
    for f in ("png", "geotiff"):
        yield from (f"{utm.replace('netcdf', f)}&{UTM_BOX}", f"{utm.replace('netcdf', f)}&{UTM_BOX}&{DAY}")
    yield f"{utm}&{UTM_BOX}&{DAY}&subset=time(2016-07-01)"
    for subset in ("lat(1:2)", "x(400000:500000),y(0:1)", "time(2016-07-02:2016-07-01)", "lon(-1e308:1e308)"):
        yield f"{utm}&{UTM_BOX}&subset={subset}"
    for scale in ("factor=1000", "factor=1.5", "size=lat(2),lon(16000)", "axes=x(3),y(1)"):
        yield f"{utm}&{UTM_BOX}&{DAY}&scale-{scale}"
    for odd in ("0,0,1e300,1e300", "10,10,5,5", "90,180,91,181", "14.5501,45.8701,14.5502,45.8702"):
        yield from (f"{utm}&bbox={odd}&{DAY}", f"/volumes/{UTM}/ndvi?bbox={odd}")


def pictures():
    """Tiles and legends of ranges, sizes and expressions that cannot be drawn."""
    tile, legend = f"/tiles/{DEMO}/conc_chl/9/154/295?crs=EPSG:3857", f"/tiles/{DEMO}/conc_chl/legend?"
    rgb = f"/tiles/{DEMO}/rgb/9/154/295?crs=EPSG:3857&g=kd489&b=kd489"
    kvp = f"/wmts/kvp?service=WMTS&request=GetTile&tilematrix=9&tilerow=154&tilecol=295&layer={DEMO}."
    for scale in (
        "vmin=-5", "vmax=-5", "norm=log&vmin=0", "vmin=5&vmax=5", "vmin=9&vmax=5", "vmin=-1e30&vmax=1e30&norm=lin",
        "vmin=1e-300&vmax=1e30", "width=1&height=1", "width=2000&height=2000",
    ):  # fmt: skip
        yield from (f"{tile}&{scale}", legend + scale)
    for expression in (quote(f"a={expression}", safe="") for expression in EXPRESSIONS):
        yield from (f"{rgb}&r={expression}", kvp + expression, f"/tiles/{DEMO}/{expression}/9/154/295")
        yield f"/statistics/{DEMO}/{expression}?lon=27.45&lat=58.8"
        yield f"/volumes/{DEMO}/{expression}?{BOX}&startDate=2020-06-01&endDate=2020-07-01"
    yield from (rgb, f"{rgb}&r=crs", f"{rgb}&r=kd489&norm=log", f"{rgb}&r=kd489&rvmin=5&rvmax=1")
    for level in ("9.zarr/zarr.json", "x.zarr/a", "0.zarr", "0.zarr/../1.zarr/zarr.json", "-1.zarr/a"):
        yield f"/s3/pyramids/{UTM}.levels/{level}"


def places():
    """Posted places that no cube is made for, with times that are not there."""
    for ring in (
        [[14, 45], [15, 45], [15, 46], [14, 46], [14, 45]], [[100, -80], [179, -80], [179, 80], [100, -80]],
        [[300, 45], [540, 45], [540, 46], [300, 45]], [[27, 58.5], [27.00001, 58.5], [27.00001, 58.50001], [27, 58.5]],
    ):  # fmt: skip
        body = json.dumps({"type": "Polygon", "coordinates": [ring]}).encode()
        for cube in (f"{DEMO}/kd489", f"{UTM}/ndvi"):
            for query in (
                "aggMethods=mean,count",
                "startDate=2030-01-01",
                "endDate=1900-01-01&startDate=2100-12-31",
            ):
                yield f"/timeseries/{cube}?{query}", body
            yield f"/statistics/{cube}", body


def test_nothing_a_visitor_sends_is_a_server_error(server):
    description = server.get("/openapi.json").json()
    tried = [(m, p, tuple(h.items()), b) for m, p, h, b in cases(description, "/services/cubes")]
    tried += [("GET", path, (), None) for path in (*coverages(), *pictures())]
    tried += [("POST", path, (), body) for path, body in places()]
    tried = list(dict.fromkeys(tried))
    own = threading.local()

    def ask(case):
        method, path, headers, body = case
        if not hasattr(own, "session"):
            own.session = requests.Session()
        request = requests.Request(method, server.base + path, headers=dict(headers), data=body)
        try:
            return own.session.send(
                own.session.prepare_request(request), timeout=PATIENCE_S, allow_redirects=False
            )
        except requests.RequestException as error:
            return error

    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(ask, tried))
    failed = []
    for (method, path, headers, body), answer in zip(tried, answers, strict=True):
        call = f"{method} {path[:160]} {dict(headers) or ''} {(body or b'')[:120]!r}"
        if isinstance(answer, Exception):
            failed.append(f"no answer: {call}: {answer}")
        elif answer.status_code >= 500:
            failed.append(f"{answer.status_code} {call}")
    print(f"{len(tried)} requests tried, {len(failed)} failed")
    assert failed == []
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[200] > 500, "what is right is still answered"
    assert statuses[400] > 1000
    assert "Traceback" not in server.log
