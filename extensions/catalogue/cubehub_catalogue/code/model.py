"""What code is asked for, and what is given back."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cubehub_catalogue.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cubehub_catalogue.query import Item, Query
    from cubehub_catalogue.sizes import Estimate, Room

Variant = Literal["auto", "load", "raster", "xcube", "cube", "publish", "build"]
"""How the data are opened.

``auto`` chooses among the three that follow; ``load`` by media type: odc-stac for rasters, xarray for the rest;
``raster`` one file by rioxarray; ``cube`` the platform's own, at its cube server; ``xcube`` through a store of xcube;
``publish`` a cube from the items, published; ``build`` the platform's recipe, which an administrator runs.
"""
Compute = Literal["auto", "memory", "lazy", "cluster"]
"""Where: all at once in memory, in parts with Dask, or in parts on a Dask cluster; ``auto`` by size."""

_LONGEST_NAME = 200
TAKEN = frozenset(
    {"all", "any", "aoi", "asset", "bbox", "catalogue", "cfgrib", "client", "cluster", "cubehub", "cubehub_catalogue", "dask", "data_id", "datasets", "distributed", "float", "found",
     "fsspec", "Geometry", "inside", "item", "items", "iter", "list", "made", "name", "names",
     "new_data_store", "next", "odc", "opened", "os", "outline", "parts", "path",
     "planetary_computer", "print", "protocol", "rasters", "resxy_", "rioxarray", "root", "search", "set", "shapely", "slice",
     "store", "subprocess", "xr", "xy_"}
)  # fmt: skip
"""Names that cells use themselves."""


class Options(BaseModel):
    """What a person chose beside the search."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    variant: Variant = "auto"
    """How the data are opened."""
    compute: Compute = "auto"
    """Where they are computed."""
    template: str | None = Field(default=None, max_length=_LONGEST_NAME)
    """Id of an administrator's template that writes the cell instead."""
    bands: tuple[str, ...] = Field(default=(), max_length=200)
    """Names of assets; () chooses the usual ones."""
    resolution: float | None = Field(default=None, gt=0, lt=1e7, allow_inf_nan=False)
    """In units of the CRS; None is that of the finest band."""
    crs: str | None = Field(default=None, pattern=r"^([A-Z]{2,10}:[0-9]{1,8}|utm)$")
    """As ``EPSG:32635``, or ``utm``; None is that of the data."""
    clip: bool = True
    """Whether only the search's area is loaded."""
    most_items: int = Field(default=500, ge=1, le=10_000)
    """How many items a whole search gives at most."""
    name: str = "ds"
    """The variable."""

    @model_validator(mode="before")
    @classmethod
    def _short_words(cls, value: Any) -> Any:
        """Take the panel's words, which say how and where in one."""
        words = {"eager": "memory", "dask": "lazy", "cluster": "cluster"}
        if isinstance(value, dict) and isinstance(value.get("variant"), str) and value["variant"] in words:
            return {"compute": words[value["variant"]], **value, "variant": "auto"}
        return value

    @field_validator("bands")
    @classmethod
    def _short(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(band) > _LONGEST_NAME for band in value):
            raise ValueError(f"a band's name has at most {_LONGEST_NAME} letters")
        return tuple(dict.fromkeys(value))

    @field_validator("name")
    @classmethod
    def _variable(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,40}", value, re.ASCII) or keyword.iskeyword(value):
            raise ValueError("a variable's name is a letter, then letters, digits and _")
        if value in TAKEN:
            raise ValueError(f"the cell uses {value} itself")
        return value

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read them from a request.

        Raises
        ------
        InputError
            Names the option that can't be.
        """
        try:
            return cls.model_validate(value or {})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "they"
            why = "there is no such option" if first["type"] == "extra_forbidden" else first["msg"]
            raise InputError(
                "bad_options", f"options: {where}: {why.removeprefix('Value error, ')}.", "Choose again."
            ) from error


@dataclass(frozen=True)
class Found:
    """An item, and whose it is."""

    catalogue: str
    item: Item


@dataclass(frozen=True)
class Place:
    """A catalogue as code opens it."""

    id: str
    title: str
    url: str
    """Whole address."""
    direct: bool = True
    """Whether pystac-client can ask it by itself: a STAC API that needs no log-in. Else code goes through
    `cubehub_catalogue.search`, which logs in when it runs."""
    platform: bool = False
    """Whether it stands on the platform's own address."""
    public: bool = False
    """Whether a STAC API answers strangers too, if perhaps with less."""

    @classmethod
    def of(cls, catalogue: Any, platform_url: str = "") -> Self:
        """Read it from the settings' `Catalogue`.

        Parameters
        ----------
        catalogue
            `cubehub_catalogue.settings.Catalogue`.
        platform_url
            Address of the Hub; empty where there is none.
        """
        url = str(catalogue.url)
        parts = urlsplit(url)
        # what is in an address beside its path could be a key
        plain = parts.scheme in {"http", "https"} and not (
            parts.query or parts.fragment or "@" in parts.netloc
        )
        log_in = getattr(catalogue.auth, "type", "none")
        return cls(
            id=str(catalogue.id),
            title=str(catalogue.title),
            url=url,
            direct=plain and log_in == "none" and catalogue.type == "stac",
            public=plain and log_in in {"none", "hub"} and catalogue.type == "stac",
            platform=bool(platform_url) and url.startswith(platform_url.rstrip("/") + "/"),
        )


@dataclass(frozen=True)
class Task:
    """All that a cell is written from."""

    places: Mapping[str, Place]
    """By id, at least those of the items and of the query."""
    found: tuple[Found, ...] = ()
    """The chosen items, or what the search found so far."""
    query: Query | None = None
    """The search; with chosen items its area and time are what is loaded of them."""
    chosen: bool = False
    """Whether the cell is for exactly these items; else it searches again."""
    more: bool = False
    """Whether the search has more than was found so far."""
    options: Options = field(default_factory=Options)
    room: Room | None = None
    """The person's memory; None where nobody knows."""
    platform_url: str = ""
    """Address of the Hub; empty where there is none."""
    gateway: bool = False
    """Whether there is a Dask Gateway to ask for a cluster."""


@dataclass(frozen=True)
class Written:
    """A cell."""

    code: str
    estimate: Estimate
    needs: tuple[str, ...] = ()
    """Packages as they are installed, beside Python's own."""
    warnings: tuple[str, ...] = ()
    """For the person, not for the cell."""
    bands: tuple[Mapping[str, Any], ...] = ()
    """What could be chosen: ``{name, title, collection, kind, chosen}``."""
    cube: str | None = None
    """Name at the platform's cube server, of a single item that is there."""

    def to_dict(self) -> dict[str, Any]:
        """Give the answer of the route."""
        return {
            "code": self.code,
            "estimate": self.estimate.to_dict(),
            "needs": list(self.needs),
            "warnings": list(self.warnings),
            "bands": [dict(band) for band in self.bands],
            "cube": self.cube,
        }
