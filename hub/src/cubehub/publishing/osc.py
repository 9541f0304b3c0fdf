"""Records for the Open Science Catalog of ESA's EarthCODE, and a STAC catalogue that stands by itself. Pure, but for `write`.

The folder has the layout of the catalogue's repository: what is in ``products``, ``workflows`` and ``experiments`` is
copied there and proposed; ``stac`` is what the product points to, and goes wherever it can be reached.

References
----------
STAC 1.0; extension ``osc`` 1.0.0 and ``themes`` 1.0.0 of stac-extensions; OGC API Records, for workflow and experiment.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from cubehub.errors import BadInputError, CubeHubError

if TYPE_CHECKING:
    from cubehub.publishing.cube import Published

THEMES = ("atmosphere", "cryosphere", "land", "magnetosphere-ionosphere", "oceans", "solid-earth")
"""Of the catalogue."""
SCHEME = "https://github.com/stac-extensions/osc#theme"
OSC_SCHEMA = "https://stac-extensions.github.io/osc/v1.0.0/schema.json"
THEMES_SCHEMA = "https://stac-extensions.github.io/themes/v1.0.0/schema.json"
RECORDS = "http://www.opengis.net/spec/ogcapi-records-1/1.0/req/record-core"
_JSON, _GEOJSON = "application/json", "application/geo+json"
_ROOT = {"rel": "root", "href": "../../catalog.json", "type": _JSON, "title": "Open Science Catalog"}
_ID = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Osc:
    """What the Open Science Catalog is told beside the cube itself.

    Parameters
    ----------
    folder
        Where the records are written.
    project
        Id of the project in the catalogue (its folder there); it has to be there already.
    themes
        Of `THEMES`.
    variables
        By variable of the cube, its id in the catalogue; else made from its ``standard_name`` or name.
    missions
        Ids there, such as ``sentinel-3``.
    region
        In words.
    status
        ``completed``, ``ongoing`` or ``planned``.
    workflow
        Address of the code by which it was made, such as a notebook in a repository: a workflow and an experiment are
        written too.
    """

    folder: str | Path
    project: str = "your-project"
    themes: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    missions: tuple[str, ...] = ()
    region: str = ""
    status: str = "completed"
    workflow: str = ""

    def __post_init__(self) -> None:
        for theme in self.themes:
            if theme not in THEMES:
                raise BadInputError(
                    f"{theme!r} is no theme of the Open Science Catalog.", f"Take of {', '.join(THEMES)}."
                )
        for one in (self.project, *self.missions, *self.variables.values()):
            if not _ID.fullmatch(one):
                raise BadInputError(
                    f"{one!r} is no id of the Open Science Catalog.", "Small letters, digits and -."
                )
        if self.status not in {"completed", "ongoing", "planned"}:
            raise BadInputError(f"{self.status!r} is no status.", "Take completed, ongoing or planned.")
        if self.workflow and not self.workflow.startswith(("https://", "http://")):
            raise BadInputError(f"{self.workflow!r} is no address.", "Name the code by https://…")


def as_osc(given: str | Path | Osc) -> Osc:
    """Take a folder or all of it."""
    return given if isinstance(given, Osc) else Osc(given)


def variable_id(name: str, osc: Osc) -> str:
    """Id of a variable in the catalogue."""
    return osc.variables.get(name) or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "variable"


def absolute(item: dict[str, Any], base: str) -> dict[str, Any]:
    """Give an item whose addresses can be followed from anywhere."""
    links = [
        {**link, "href": urljoin(base, link["href"])} for link in item["links"] if link["rel"] != "alternate"
    ]
    assets = {key: {**one, "href": urljoin(base, one["href"])} for key, one in item["assets"].items()}
    return {**item, "links": links, "assets": assets}


def extent(item: dict[str, Any]) -> dict[str, Any]:
    """Give a collection's extent that is the item's."""
    told = item["properties"]
    return {
        "spatial": {"bbox": [item["bbox"]]},
        "temporal": {"interval": [[told["start_datetime"], told["end_datetime"]]]},
    }


def catalogue(item: dict[str, Any], cube: Published) -> dict[str, dict[str, Any]]:
    """Describe the cube as a STAC catalogue of one collection with one item: documents by file."""
    told = item["properties"]
    inside = {
        **absolute(item, cube.url), "collection": cube.id,
        "links": [
            {"rel": "root", "href": "../../catalog.json", "type": _JSON},
            {"rel": "parent", "href": "../collection.json", "type": _JSON},
            {"rel": "collection", "href": "../collection.json", "type": _JSON},
            {"rel": "alternate", "href": cube.url, "type": "text/html", "title": "Viewer"},
        ],
    }  # fmt: skip
    collection = {
        "type": "Collection", "stac_version": "1.0.0", "id": cube.id, "title": cube.title,
        "description": told["description"], "license": told["license"], "extent": extent(item),
        "providers": told.get("providers", []),
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": _JSON},
            {"rel": "parent", "href": "../catalog.json", "type": _JSON},
            {"rel": "item", "href": f"./{cube.id}/{cube.id}.json", "type": _GEOJSON, "title": cube.title},
        ],
    }  # fmt: skip
    root = {
        "type": "Catalog", "stac_version": "1.0.0", "id": f"{cube.id}-catalog", "title": cube.title,
        "description": f"{cube.title}, published with CubeHub",
        "links": [
            {"rel": "root", "href": "./catalog.json", "type": _JSON},
            {"rel": "child", "href": f"./{cube.id}/collection.json", "type": _JSON, "title": cube.title},
        ],
    }  # fmt: skip
    return {
        "stac/catalog.json": root,
        f"stac/{cube.id}/collection.json": collection,
        f"stac/{cube.id}/{cube.id}/{cube.id}.json": inside,
    }


def product(item: dict[str, Any], cube: Published, osc: Osc, now: datetime) -> dict[str, Any]:
    """Describe the cube as a product of the catalogue."""
    told, stamp = item["properties"], _stamp(now)
    variables = [variable_id(name, osc) for name in cube.variables]
    made: dict[str, Any] = {
        "type": "Collection", "stac_version": "1.0.0", "stac_extensions": [OSC_SCHEMA, THEMES_SCHEMA],
        "id": cube.id, "title": cube.title, "description": told["description"], "license": told["license"],
        "extent": extent(item), "created": stamp, "updated": stamp,
        "keywords": [told["cube:variables"][name]["description"] for name in cube.variables],
        "osc:type": "product", "osc:status": osc.status, "osc:project": osc.project, "osc:variables": variables,
        "osc:missions": list(osc.missions), "themes": _themes(osc), "providers": told.get("providers", []),
        "links": [
            _ROOT, {"rel": "parent", "href": "../catalog.json", "type": _JSON, "title": "Products"},
            {"rel": "via", "href": cube.url, "type": "text/html", "title": "Access: viewer"},
            {"rel": "via", "href": cube.zarr_url, "type": "application/vnd+zarr", "title": "Access: Zarr"},
            {"rel": "item", "href": cube.item_url, "type": _GEOJSON, "title": "STAC item"},
            *_related(osc, variables),
        ],
    }  # fmt: skip
    if osc.region:
        made["osc:region"] = osc.region
    if osc.workflow:
        made["osc:experiment"] = f"{cube.id}-experiment"
        made["links"].append(
            {"rel": "related", "href": f"../../experiments/{cube.id}-experiment/record.json", "type": _JSON, "title": f"Experiment: {cube.title}"}
        )  # fmt: skip
    return made


def workflow(cube: Published, osc: Osc, now: datetime) -> dict[str, Any]:
    """Describe the code by which the cube was made."""
    links = [
        _ROOT, {"rel": "parent", "href": "../catalog.json", "type": _JSON, "title": "Workflows"},
        {"rel": "git", "href": osc.workflow, "title": "Code"},
        {"rel": "child", "href": f"../../experiments/{cube.id}-experiment/record.json", "type": _JSON, "title": f"Experiment: {cube.title}"},
    ]  # fmt: skip
    return _record(f"{cube.id}-workflow", "workflow", f"Workflow of {cube.title}", cube, osc, links, now)


def experiment(cube: Published, osc: Osc, now: datetime) -> dict[str, Any]:
    """Describe the run of the code by which the cube was made."""
    links = [
        _ROOT, {"rel": "parent", "href": "../catalog.json", "type": _JSON, "title": "Experiments"},
        {"rel": "related", "href": f"../../workflows/{cube.id}-workflow/record.json", "type": _JSON, "title": f"Workflow: {cube.title}"},
        {"rel": "child", "href": f"../../products/{cube.id}/collection.json", "type": _JSON, "title": cube.title},
        {"rel": "environment", "href": osc.workflow, "title": "Code and environment"},
    ]  # fmt: skip
    made = _record(
        f"{cube.id}-experiment", "experiment", f"Experiment of {cube.title}", cube, osc, links, now
    )
    made["properties"]["osc:workflow"] = f"{cube.id}-workflow"
    return made


def _record(
    name: str, kind: str, title: str, cube: Published, osc: Osc, links: list[dict[str, Any]], now: datetime
) -> dict[str, Any]:
    stamp = _stamp(now)
    project = {"rel": "related", "href": f"../../projects/{osc.project}/collection.json", "type": _JSON, "title": f"Project: {osc.project}"}  # fmt: skip
    return {
        "id": name, "type": "Feature", "conformsTo": [RECORDS], "geometry": None, "time": None,
        "properties": {
            "type": kind, "title": title, "description": f"{title}, published by {cube.owner} with CubeHub",
            "created": stamp, "updated": stamp, "osc:project": osc.project, "osc:status": osc.status,
            "themes": _themes(osc),
        },
        "links": [*links, project, *_theme_links(osc)], "linkTemplates": [],
    }  # fmt: skip


def _themes(osc: Osc) -> list[dict[str, Any]]:
    return [{"scheme": SCHEME, "concepts": [{"id": theme} for theme in osc.themes]}] if osc.themes else []


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize()


def _theme_links(osc: Osc) -> list[dict[str, Any]]:
    return [
        {"rel": "related", "href": f"../../themes/{t}/catalog.json", "type": _JSON, "title": f"Theme: {_title(t)}"}
        for t in osc.themes
    ]  # fmt: skip


def _related(osc: Osc, variables: list[str]) -> list[dict[str, Any]]:
    links = [{"rel": "related", "href": f"../../projects/{osc.project}/collection.json", "type": _JSON, "title": f"Project: {osc.project}"}]  # fmt: skip
    for kind, folder, names in (
        ("Variable", "variables", variables),
        ("EO Mission", "eo-missions", osc.missions),
    ):
        links += [
            {"rel": "related", "href": f"../../{folder}/{n}/catalog.json", "type": _JSON, "title": f"{kind}: {_title(n)}"}
            for n in names
        ]  # fmt: skip
    return links + _theme_links(osc)


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def documents(item: dict[str, Any], cube: Published, osc: Osc, now: datetime) -> dict[str, dict[str, Any]]:
    """Give all documents, by file."""
    made = catalogue(item, cube)
    made[f"products/{cube.id}/collection.json"] = product(item, cube, osc, now)
    if osc.workflow:
        made[f"workflows/{cube.id}-workflow/record.json"] = workflow(cube, osc, now)
        made[f"experiments/{cube.id}-experiment/record.json"] = experiment(cube, osc, now)
    return made


def write(item: dict[str, Any], cube: Published, osc: Osc) -> None:
    """Write the records.

    Raises
    ------
    CubeHubError
        They cannot be written; the cube is published all the same.
    """
    folder = Path(osc.folder)
    try:
        for name, document in documents(item, cube, osc, datetime.now(UTC)).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CubeHubError(
            f"{cube.name} is published; its records could not be written to {folder}: {error.strerror}.",
            "Publish it again with another folder: nothing is sent twice.",
        ) from error
