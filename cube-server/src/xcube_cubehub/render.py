"""From ``cubes.yaml`` and what is built to xcube's server configuration, the access policy and the viewer's."""

import logging
import os
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from xcube_cubehub.access import Access, Policy
from xcube_cubehub.bucket import SCHEME
from xcube_cubehub.build import STAMP, near_empty_of, place_of, stamp_of
from xcube_cubehub.config import Cube, Cubes, Places, ServerSettings, read_cubes
from xcube_cubehub.errors import CubeError
from xcube_cubehub.fast.published import Published as Front
from xcube_cubehub.fast.published import Shown
from xcube_cubehub.index import INDEX, PYRAMID, SERIES, Statistics, Style, read_index
from xcube_cubehub.permalinks import EXPIRY_DAYS
from xcube_cubehub.publishing.records import Registry, with_published
from xcube_cubehub.summary import default_range

log = logging.getLogger(__name__)
BUILTIN = "builtin:"
"""Marks a place file that comes with this package."""

MAX_BODY_BYTES = 4 * 1024 * 1024


def series_id(cube: str) -> str:
    """Dataset id of the time-chunked copy. The colon keeps it apart from every id that cubes.yaml allows."""
    return f"{cube}:series"


@dataclass(frozen=True)
class Published:
    """What is to be served right now."""

    config: dict[str, Any]
    policy: Policy
    near_empty: dict[str, frozenset[int]] = field(default_factory=dict)
    """By cube the positions of the times that show next to nothing (`xcube_cubehub.build.near_empty`)."""
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By dataset what changes with each change of what it holds."""


def signature(
    cubes_yaml: Path, cubes_dir: Path, registry: Registry, now: float
) -> tuple[tuple[str, int], ...]:
    """Changes when ``cubes.yaml`` or a cube does, or one expires; cheap enough to look at every few seconds."""
    paths = [cubes_yaml, *sorted(cubes_dir.glob(f"*/{STAMP}"))]
    found = []
    for path in paths:
        try:
            found.append((str(path), path.stat().st_mtime_ns))
        except OSError:
            continue
    return (*found, *registry.signature(now))


def all_cubes(settings: ServerSettings, registry: Registry, now: float) -> Cubes:
    """The operator's cubes and those that people published.

    Raises
    ------
    ConfigError
        ``cubes.yaml`` cannot be used.
    """
    return with_published(read_cubes(settings.cubes_yaml), registry.live(now), registry.folders)


def published(settings: ServerSettings, cubes: Cubes) -> Published:
    """Decide what to serve: cubes that are listed but not built are left out, with a line in the log."""
    present = []
    for cube in cubes.cubes:
        if stamp_of(cube.folder(settings.folder)):
            present.append(cube)
        else:
            log.warning(
                "cube %s is listed but not built: left out until `cubehub cubes build %s`", cube.id, cube.id
            )
    places = {p.id: p for p in cubes.places}
    config: dict[str, Any] = {
        "port": settings.port,
        "address": settings.address,
        "base_dir": str(settings.state_dir),
        "url_prefix": settings.prefix,
        "api_spec": {"excludes": ["compute"]},
        # the largest thing people send is a polygon; what is read is held in memory
        "tornado": {"xheaders": True, "max_body_size": MAX_BODY_BYTES, "max_buffer_size": MAX_BODY_BYTES},
        "Authentication": {
            "Authority": settings.issuer,
            "Audience": settings.audience,
            "Algorithms": ["RS256"],
            "IsRequired": False,
        },
        "ServiceProvider": {"ProviderName": "CubeHub", "ProviderSite": settings.public_url},
        "Styles": [style(cube, cube.folder(settings.folder)) for cube in present],
        "Datasets": [
            entry
            for number, cube in enumerate(present)
            for entry in datasets(
                cube, number, cube.folder(settings.folder), places, settings.cubes_yaml.parent
            )
        ],
    }
    # xcube answers this id to everybody, so a protected cube cannot be it.
    public = {cube.id for cube in present if cube.rule.access is Access.PUBLIC}
    if cubes.default in public:
        config["EntrypointDatasetId"] = cubes.default
    ids = {c.id: c.id for c in present} | {series_id(c.id): c.id for c in present}
    hidden = {c.id: near_empty_of(c.folder(settings.folder)) for c in present}
    folders = {cube.id: cube.folder(settings.folder) for cube in present}
    stamps = {ds_id: stamp for ds_id, cube in ids.items() if (stamp := _index_stamp(folders[cube]))}
    return Published(config, Policy({c.id: c.rule for c in present}, ids), hidden, stamps)


def _index_stamp(folder: Path) -> tuple[int, int] | None:
    try:
        found = (folder / INDEX).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def shown(settings: ServerSettings, cubes: Cubes, policy: Policy) -> Front:
    """What the processes in front may show by themselves."""
    return Front(
        {
            cube.id: Shown(
                cube.folder(settings.folder),
                cube.rule,
                styles(cube, cube.folder(settings.folder)),
            )
            for cube in cubes.cubes
            if cube.id in policy.rules
        }
    )


def styles(cube: Cube, folder: Path) -> dict[str, Style]:
    """How the variables of a cube are shown; where no range was given, that of most of their values."""
    found: dict[str, Statistics] = {}
    if any(v.range is None for v in cube.variables):
        try:
            found = read_index(folder).statistics
        except CubeError as error:
            log.warning("%s: %s has no ranges of its own", error.message, cube.id)
    return {
        v.name: Style(v.colours, *(v.range or default_range(found.get(v.name), v.scale)), v.scale)
        for v in cube.variables
    }


def style(cube: Cube, folder: Path) -> dict[str, Any]:
    """Xcube's style of a cube; the log scale is added by our datasets context (the schema has no word for it)."""
    mappings = {
        name: {"ColorBar": shown.colours, "ValueRange": [shown.low, shown.high]}
        for name, shown in styles(cube, folder).items()
    }
    return {"Identifier": cube.id, "ColorMappings": mappings}


def norms(cubes: Cubes) -> dict[tuple[str, str], str]:
    """Scale, ``lin`` or ``log``, by cube and variable."""
    return {(c.id, v.name): v.scale for c in cubes.cubes for v in c.variables}


def datasets(
    cube: Cube, number: int, folder: Path, places: dict[str, Places], base: Path
) -> list[dict[str, Any]]:
    """Xcube's entries for a cube: the pyramid, and hidden the time-chunked copy."""
    common: dict[str, Any] = {**file_system(folder), "Attribution": plain(cube.attribution)}
    root = root_of(folder)
    if cube.rule.access is not Access.PUBLIC:
        common["AccessControl"] = {"RequiredScopes": [f"read:dataset:{cube.id}"]}
    return [
        {
            **common,
            "Identifier": cube.id,
            "Path": f"{root}/{PYRAMID}",
            "Title": cube.title,
            "Description": plain(cube.description),
            "GroupTitle": cube.group,
            "SortValue": number + 1,
            "Style": cube.id,
            "Variables": [v.name for v in cube.variables],
            "TimeSeriesDataset": series_id(cube.id),
            "PlaceGroups": [
                {"Identifier": p, "Title": places[p].title, "Path": str(place_file(places[p].file, base))}
                for p in cube.places
            ],
        },
        {
            **common,
            "Identifier": series_id(cube.id),
            "Path": f"{root}/{SERIES}",
            "Title": cube.title,
            "Style": cube.id,
            "Hidden": True,
        },
    ]


def plain(text: str) -> str:
    """A text without markup: the viewer writes attributions as HTML and descriptions as Markdown, whoever wrote them."""
    return text.translate({ord("<"): "\u2039", ord(">"): "\u203a"}).replace("![", "! [").replace("](", "] (")


def root_of(folder: Path) -> str:
    """Where the arrays of a cube lie, as xcube names it: a path, or a bucket and what follows it."""
    return place_of(folder).removeprefix(SCHEME) or str(folder)


def file_system(folder: Path) -> dict[str, Any]:
    """What xcube is told about where a cube lies; endpoint and credentials it takes from the environment."""
    if not place_of(folder):
        return {"FileSystem": "file"}
    anonymous = os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in {"1", "true", "yes"}
    return {"FileSystem": "s3", **({"Anonymous": True} if anonymous else {})}


def place_file(name: Path, base: Path) -> Path:
    """Path of a place file: ``builtin:NAME`` comes with this package, anything else lies beside ``cubes.yaml``."""
    text = str(name)
    if text.startswith(BUILTIN):
        return Path(
            str(resources.files("xcube_cubehub") / "places" / f"{text.removeprefix(BUILTIN)}.geojson")
        )
    return (base / name).resolve()


def viewer_config(settings: ServerSettings, origin: str) -> dict[str, Any]:
    """``config.json`` of the xcube viewer.

    Parameters
    ----------
    settings : ServerSettings
        Issuer, client and prefix.
    origin : str
        Scheme and host by which this visitor reaches us, so that the viewer stays on one origin.
    """
    base = f"{origin}{settings.prefix}"
    # The viewer shows a base map at first only if it has the id of its own default, OpenStreetMap; under that id it
    # gets our land outlines, so nothing is fetched from outside.
    base_map = {
        "id": "OpenStreetMap.OSM Mapnik",
        "title": "Land and water",
        "url": f"{base}/basemap/{{z}}/{{x}}/{{y}}.png",
        "attribution": "Land: Natural Earth",
        "exclusive": True,
    }
    no_overlay = {
        "id": "none",
        "title": "No overlay",
        "url": f"{base}/basemap/none/{{z}}/{{x}}/{{y}}.png",
        "attribution": "",
    }
    return {
        "name": "cubehub",
        "server": {"id": "cubehub", "name": "CubeHub", "url": base},
        "authClient": {"authority": settings.issuer, "client_id": settings.client_id},
        "branding": {
            "appBarTitle": "CubeHub",
            "windowTitle": "CubeHub: cubes",
            "windowIcon": "config/logo.svg",
            "headerBackgroundColor": "#0b4f6c",
            "themeMode": "light",
            "primaryColor": "#0b6e8f",
            "secondaryColor": "#2a9d6f",
            "organisationUrl": "/",
            "logoImage": "logo.svg",
            "logoWidth": 28,
            "baseMapUrl": base_map["url"],
            "layers": {"baseMaps": [base_map], "overlays": [no_overlay]},
            "defaultAgg": "mean",
            "polygonFillOpacity": 0.15,
            "mapProjection": "EPSG:3857",
            "allowSharing": True,
            "permalinkExpirationDays": EXPIRY_DAYS,
            "allow3D": False,
            "allowRefresh": False,
        },
    }
