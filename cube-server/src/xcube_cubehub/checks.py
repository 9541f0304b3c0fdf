"""What a request asks for against what there is: variables, expressions, ranges. Parameters alone see `parameters`."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from xcube.webapi.datasets.context import DatasetsContext

from xcube_cubehub import parameters
from xcube_cubehub.errors import NotThereError, RequestError
from xcube_cubehub.expressions import refusal
from xcube_cubehub.parameters import beside_the_map, shown
from xcube_cubehub.routes import (
    COVERAGE_ROUTE,
    DATASET_ARGUMENTS,
    KVP_ROUTE,
    OBJECT_ROUTE,
    TILE_ROUTES,
    WMTS_ROUTES,
)

Query = dict[str, list[str]]
RGB = "rgb"
"""A tile of this variable takes three others as its red, green and blue."""
_KVP_TILE = ("layer", "tilematrix", "tilerow", "tilecol")


@dataclass(frozen=True)
class Request:
    """A request as its route reads it.

    Attributes
    ----------
    route : str
        Path template.
    arguments : mapping of str to str
        What the path holds.
    query : dict of str to list of str
        Names in lower case where the route does not tell cases apart.
    """

    route: str
    arguments: Mapping[str, str]
    query: Query

    @classmethod
    def read(cls, route: str, arguments: Mapping[str, str], query: Mapping[str, Sequence[str]]) -> "Request":
        """Normalise the names of a parsed query as xcube does."""
        lower = route in WMTS_ROUTES
        named = {(name.lower() if lower else name): list(values) for name, values in query.items()}
        return cls(route, arguments, named)

    @property
    def is_tile(self) -> bool:
        """Whether it asks for an image of the map."""
        return self.route in TILE_ROUTES or (self.route == KVP_ROUTE and self.first("request") == "GetTile")

    @property
    def is_legend(self) -> bool:
        """Whether it asks for the legend of an image."""
        return self.route.endswith(("/legend", "/legend.png"))

    @property
    def variable(self) -> tuple[str, str] | None:
        """Cube and variable, or assigned expression, that it names first."""
        if self.route == KVP_ROUTE:
            cube, _, name = self.first("layer").partition(".")
            return (cube, name) if self.is_tile else None
        if "varName" in self.arguments:
            return self.arguments["datasetId"], self.arguments["varName"]
        return None

    @property
    def cubes(self) -> list[str]:
        """Ids of the datasets that it names, whether or not there are such; empty where it asks for what there is."""
        if self.route == OBJECT_ROUTE:
            name = self.arguments["key"].partition("/")[0]
            return [name.removesuffix(".zarr").removesuffix(".levels")]
        if self.route == KVP_ROUTE:
            return [self.variable[0]] if self.variable else []
        return [self.arguments[name] for name in DATASET_ARGUMENTS if name in self.arguments]

    def first(self, name: str) -> str:
        """Value of a parameter that xcube takes; empty if there is none."""
        return self.query.get(name, [""])[0]

    def variables(self) -> Iterator[str]:
        """Every variable or assigned expression that would be read or evaluated."""
        if self.variable is None:
            return
        if self.is_tile and self.variable[1] == RGB:
            for colour in RGB:
                yield from self.query.get(colour, [])
        else:
            yield self.variable[1]


def check_parameters(request: Request, accept: str) -> None:
    """Refuse what the request's words alone show to be wrong.

    Raises
    ------
    RequestError
        With what is allowed instead.
    """
    headers = {"Accept": accept} if request.route == COVERAGE_ROUTE else {}
    parameters.check(request.route, {**request.arguments, **headers}, request.query)
    if request.route == KVP_ROUTE and request.is_tile:
        missing = [name for name in _KVP_TILE if not request.first(name)]
        if missing:
            raise RequestError(f"{missing[0]} is missing: GetTile takes {', '.join(_KVP_TILE)}")
    if "datetime" in request.query and "time(" in request.first("subset"):
        raise RequestError("give the times once, by datetime or by subset=time(…), not by both")
    expressions = [text.partition("=")[2] for text in request.variables() if "=" in text]
    if "varExpr" in request.arguments:
        expressions.append(request.arguments["varExpr"])
    for expression in expressions:
        if why := refusal(expression):
            raise RequestError(why)


def check_variables(request: Request, datasets: DatasetsContext) -> None:
    """Refuse variables that the cube lacks, and expressions of what is no picture.

    Raises
    ------
    RequestError
        With the variables there are.
    """
    if request.variable is None:
        return
    cube = request.variable[0]
    dataset = datasets.get_dataset(cube)
    pictures = [str(name) for name, variable in dataset.data_vars.items() if variable.ndim >= 2]
    others = {str(name) for name in dataset.variables} - set(pictures)
    for text in request.variables():
        name, equals, expression = text.partition("=")
        if not equals and name not in pictures:
            raise NotThereError(f"{cube} has no variable {shown(name)}; it has {', '.join(sorted(pictures))}")
        if equals and (wrong := names_in(expression) & others):
            raise RequestError(f"{min(wrong)} has no values on the map; {cube} has {', '.join(pictures)}")


def check_dimensions(request: Request, datasets: DatasetsContext) -> None:
    """Refuse a coverage's selection by dimensions that the cube lacks, or that no number is the nearest one of.

    Raises
    ------
    RequestError
        With the dimensions there are.
    """
    if request.route != COVERAGE_ROUTE or not request.first("subset"):
        return
    asked = beside_the_map(part.partition("(")[0] for part in request.first("subset").split(","))
    cube = request.arguments["collectionId"]
    dataset = datasets.get_dataset(cube)
    there = beside_the_map(str(n) for n, i in dataset.indexes.items() if n == "time" or has_nearest(i))
    for name in asked:
        if name not in there:
            raise RequestError(
                f"subset selects by {shown(name)}, which is no dimension of {cube} with sorted numbers; "
                f"besides those of the map it has: {', '.join(there) or 'none'}"
            )


def has_nearest(index: pd.Index) -> bool:
    """Whether one of the values is the nearest to any number."""
    in_order = index.is_monotonic_increasing or index.is_monotonic_decreasing
    return bool(index.is_unique and in_order and pd.api.types.is_numeric_dtype(index))


def names_in(expression: str) -> set[str]:
    """Names that an expression, already found valid, looks up."""
    return {node.id for node in ast.walk(ast.parse(expression.strip())) if isinstance(node, ast.Name)}


def complete_range(request: Request, datasets: DatasetsContext) -> dict[str, float]:
    """Ends of the colour scale that a request for a tile leaves out, by the cube's style.

    xcube takes 0 and 1 then, which shows nothing useful and makes a log scale a 500; WMTS clients never name any.

    Returns
    -------
    dict of str to float
        ``vmin``, ``vmax``, as far as they are to be added.

    Raises
    ------
    RequestError
        The range does not fit the scale.
    """
    if request.variable is None or not (request.is_tile or request.is_legend):
        return {}
    cube, variable = request.variable
    if variable == RGB:
        if request.first("norm") == "log":
            raise RequestError("norm must be lin where red, green and blue are three variables, not 'log'")
        styled, norm, (low, high) = False, "lin", (0.0, 1.0)
    else:
        styled = variable in datasets.get_color_mappings(cube)
        _, norm, (low, high) = datasets.get_color_mapping(cube, variable)
    ends = {"vmin": float(low), "vmax": float(high)}
    given = {name: float(request.first(name)) for name in ends if request.first(name)}
    ends.update(given)
    parameters.check_range(ends["vmin"], ends["vmax"], request.first("norm") or norm)
    if request.is_legend and not ends["vmin"] < ends["vmax"]:
        raise RequestError(f"vmin must be below vmax, not {ends['vmin']:g} and {ends['vmax']:g}")
    if not request.is_tile or not styled:
        return {}
    return {name: value for name, value in ends.items() if name not in given}


def message_of(error: Any) -> str:
    """What xcube says of a request that it cannot answer, short."""
    return " ".join(str(error).split())[:300]
