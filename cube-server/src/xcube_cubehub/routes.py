"""Every route of xcube 1.14.1 and how it is guarded. A route that is not listed here is closed."""

from enum import StrEnum

OGC = "/ogc"


class Guard(StrEnum):
    """How a route is guarded."""

    OPEN = "open"
    """Reaches no dataset: static pages, colour bars, API descriptions."""
    FILTERED = "filtered"
    """Lists datasets or finds them by query or key: sees those that the guarded datasets context shows."""
    DATASET = "dataset"
    """Names a dataset in its path: refused before xcube's handler runs, and again by the datasets context."""
    CLOSED = "closed"
    """Not served at all."""


ROUTES: dict[str, Guard] = {
    "/": Guard.OPEN,
    "/openapi.html": Guard.CLOSED,  # its page loads a script from another host
    "/openapi.json": Guard.OPEN,
    "/colorbars": Guard.OPEN,
    "/colorbars.html": Guard.OPEN,
    "/expressions/capabilities": Guard.OPEN,
    "/viewer/config/{*path}": Guard.CLOSED,  # our own handlers come first
    "/viewer/state": Guard.CLOSED,  # our own handler comes first; xcube's lists all keys to everybody
    "/viewer/ext/contributions": Guard.CLOSED,  # our own handler comes first
    f"{OGC}/conformance": Guard.OPEN,
    "/places": Guard.OPEN,
    "/places/{placeGroupId}": Guard.OPEN,
    # Lists, capabilities, object store
    "/datasets": Guard.FILTERED,
    OGC: Guard.FILTERED,
    f"{OGC}/collections": Guard.FILTERED,
    f"{OGC}/search": Guard.FILTERED,
    "/s3/{bucket}": Guard.FILTERED,
    "/s3/{bucket}/{*key}": Guard.FILTERED,
    "/wmts/kvp": Guard.FILTERED,
    "/wmts/1.0.0/WMTSCapabilities.xml": Guard.FILTERED,
    "/wmts/1.0.0/{tmsId}/WMTSCapabilities.xml": Guard.FILTERED,
    # A collection is either all cubes or one cube
    f"{OGC}/collections/{{collectionId}}": Guard.DATASET,
    f"{OGC}/collections/{{collectionId}}/items": Guard.DATASET,
    f"{OGC}/collections/{{collectionId}}/items/{{featureId}}": Guard.DATASET,
    f"{OGC}/collections/{{collectionId}}/queryables": Guard.DATASET,
    f"{OGC}/collections/{{collectionId}}/schema": Guard.DATASET,
    f"{OGC}/collections/{{collectionId}}/coverage": Guard.DATASET,
    f"{OGC}/collections/{{collectionId}}/coverage/domainset": Guard.DATASET,
    f"{OGC}/collections/{{collectionId}}/coverage/rangetype": Guard.DATASET,
    f"{OGC}/collections/{{collectionId}}/coverage/metadata": Guard.DATASET,
    f"{OGC}/collections/{{collectionId}}/coverage/rangeset": Guard.DATASET,
    "/datasets/{datasetId}": Guard.DATASET,
    "/datasets/{datasetId}/coords/{dimName}": Guard.DATASET,
    "/datasets/{datasetId}/places/{placeGroupId}": Guard.DATASET,
    "/datasets/{datasetId}/vars/{varName}/legend.png": Guard.DATASET,
    "/places/{placeGroupId}/{datasetId}": Guard.DATASET,
    "/expressions/validate/{datasetId}/{varExpr}": Guard.DATASET,
    "/statistics/{datasetId}/{varName}": Guard.DATASET,
    "/tiles/{datasetId}/{varName}/{z}/{y}/{x}": Guard.DATASET,
    "/tiles/{datasetId}/{varName}/legend": Guard.DATASET,
    "/timeseries/{datasetId}/{varName}": Guard.DATASET,
    "/volumes/{datasetId}/{varName}": Guard.DATASET,
    "/wmts/1.0.0/tile/{datasetId}/{varName}/{z}/{y}/{x}.png": Guard.DATASET,
    "/wmts/1.0.0/tile/{datasetId}/{varName}/{tmsId}/{z}/{y}/{x}.png": Guard.DATASET,
    # Not for anybody: they stop or break the server, or run what a visitor sends
    "/maintenance/fail": Guard.CLOSED,
    "/maintenance/kill": Guard.CLOSED,
    "/maintenance/oom": Guard.CLOSED,
    "/maintenance/update": Guard.CLOSED,
    "/compute/operations": Guard.CLOSED,
    "/compute/operations/{operationId}": Guard.CLOSED,
    "/compute/jobs": Guard.CLOSED,
    "/compute/jobs/{jobId}": Guard.CLOSED,
    "/viewer/ext/layout/{contribPoint}/{contribIndex}": Guard.CLOSED,
    "/viewer/ext/callback": Guard.CLOSED,
}

_NUMBER = r"(?P<{}>\d{{1,7}})"
BASEMAP = "/basemap/" + "/".join(_NUMBER.format(name) for name in "zxy") + r"\.png"
NO_OVERLAY = r"/basemap/none/\d+/\d+/\d+\.png"
VIEWER_CONFIG_FILES = "/viewer/config/(about.en.md|logo.svg|session.js|links.js|cubehub.css)"
CARDS = "/cards"
PERMALINKS = "/viewer/state"
_CUBE = r"(?P<cube>[a-z0-9-]{1,190})"
QUICKLOOK = rf"/quicklook/{_CUBE}\.png"
EMBED = rf"/embed/{_CUBE}"
EMBED_STYLE = "/(embed.css)"
VIEWER_DOCS = "/viewer/(docs/(?:privacy-note|imprint).(?:en|de|se).md)"
OWN_ROUTES: dict[str, Guard] = {
    "": Guard.OPEN,
    "/health": Guard.OPEN,
    "/session": Guard.OPEN,  # gives a signed-in browser its cookie
    BASEMAP: Guard.OPEN,
    NO_OVERLAY: Guard.OPEN,
    "/viewer/(?:index.html)?": Guard.OPEN,
    "/viewer/ext/contributions": Guard.OPEN,
    "/viewer/config/config.json": Guard.OPEN,
    VIEWER_CONFIG_FILES: Guard.OPEN,
    VIEWER_DOCS: Guard.OPEN,
    CARDS: Guard.FILTERED,
    QUICKLOOK: Guard.DATASET,
    EMBED: Guard.DATASET,  # public cubes only, whoever asks
    EMBED_STYLE: Guard.OPEN,
    PERMALINKS: Guard.FILTERED,  # what a state holds of cubes is cut down to what its reader may see
    "/viewer": Guard.OPEN,
    "/viewer/(.*)": Guard.OPEN,  # the files of xcube's viewer, as it comes
}
"""Routes that are not xcube's, as patterns below the prefix. Those that reach a cube name it in ``cube``."""

DATASET_ARGUMENTS = ("datasetId", "collectionId")
"""Path arguments that name a dataset."""
COMMON_COLLECTIONS = frozenset({"datacubes"})
"""STAC collection of all cubes: its items are filtered, the collection itself is nobody's."""
COMMON_COLLECTION_ROUTES = frozenset(
    f"{OGC}/collections/{{collectionId}}{rest}" for rest in ("", "/items", "/items/{featureId}")
)
"""Where that collection makes sense; xcube answers 500 when asked for its schema or coverage."""
TILE_ROUTES = frozenset({r for r in ROUTES if r.startswith(("/tiles/", "/wmts/1.0.0/tile/")) and "{y}" in r})
"""Map tiles of one variable."""
IMAGE_ROUTES = TILE_ROUTES | {
    "/tiles/{datasetId}/{varName}/legend",
    "/datasets/{datasetId}/vars/{varName}/legend.png",
}
"""Images, which a browser fetches without an Authorization header: here a cookie may speak for the token."""

OBJECT_ROUTE = "/s3/{bucket}/{*key}"
"""Names the dataset by the first part of its key."""
KVP_ROUTE = "/wmts/kvp"
"""WMTS by query: names the variable as ``layer=CUBE.VARIABLE``."""
WMTS_ROUTES = frozenset({r for r in ROUTES if r.startswith("/wmts/")})
"""Their parameters are read in lower case."""
COVERAGE_ROUTE = f"{OGC}/collections/{{collectionId}}/coverage"
LARGE_ROUTES = frozenset({COVERAGE_ROUTE, "/volumes/{datasetId}/{varName}"})
"""Where xcube computes for seconds on the loop that answers everybody."""
LISTING_ROUTE = "/s3/{bucket}"
"""Where xcube walks through the files of every cube, on that loop too."""
SERIES_ROUTE = "/timeseries/{datasetId}/{varName}"
STATISTICS_ROUTE = "/statistics/{datasetId}/{varName}"
PLACE_ROUTES = frozenset({SERIES_ROUTE, STATISTICS_ROUTE, "/places/{placeGroupId}"})
"""What is posted here has to be GeoJSON."""


def guard_of(path: str) -> Guard:
    """How the route with this path template is guarded; closed if nobody has thought about it."""
    return ROUTES.get(path, Guard.CLOSED)
