"""An OData service of the Copernicus dialect over recorded products; it parses and evaluates what it is asked.

The grammar is the part of OData 4.01 (URL conventions, 5.1.1) that the Data Space documents:

    any-of     = all-of { "or" all-of }
    all-of     = term { "and" term }
    term       = "not" term | "(" any-of ")" | call | path "/any(" name ":" any-of ")" | path operator literal
    call       = ( "contains" | "startswith" | "endswith" ) "(" path "," string ")"
               | "OData.CSC.Intersects" "(" "area" "=" geography ")"
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import shapely
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Truth = bool | None
_TOKEN = re.compile(
    r"\s*(?:(?P<area>geography'(?:[^']|'')*')|(?P<string>'(?:[^']|'')*')"
    r"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<path>[A-Za-z_][\w.]*(?:/[A-Za-z_][\w.]*)*)|(?P<sign>[(),=:]))"
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}
_TIMES = {"ContentDate/Start", "ContentDate/End", "PublicationDate", "ModificationDate", "OriginDate"}
_WORDS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startswith": lambda text, part: text.startswith(part),
    "endswith": lambda text, part: text.endswith(part),
}
_ORDERS = {"ContentDate/Start", "ContentDate/End", "PublicationDate", "ModificationDate"}


class BadQueryError(Exception):
    """What the service answers with 400."""


class Parser:
    """Reads a filter; `parse` gives a test of a record: true, false, or None where it can't be known."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if not found:
                raise BadQueryError(f"cannot read {text[place : place + 40]!r}")
            self.tokens.append((found.lastgroup or "", found[found.lastgroup or 0]))
            place = found.end()
        self.place = 0

    def parse(self) -> Callable[[dict[str, Any]], Truth]:
        made: Callable[[dict[str, Any]], Truth] = self.any_of()
        if self.place != len(self.tokens):
            raise BadQueryError(f"something after the end: {self.tokens[self.place]}")
        return made

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def take(self, kind: str, *values: str) -> str:
        found = self.peek()
        if found[0] != kind or (values and found[1] not in values):
            raise BadQueryError(f"expected {values or kind}, found {found}")
        self.place += 1
        return found[1]

    def any_of(self) -> Any:
        parts = [self.all_of()]
        while self.peek() == ("path", "or"):
            self.place += 1
            parts.append(self.all_of())
        return parts[0] if len(parts) == 1 else lambda record: _some([part(record) for part in parts])

    def all_of(self) -> Any:
        parts = [self.term()]
        while self.peek() == ("path", "and"):
            self.place += 1
            parts.append(self.term())
        return parts[0] if len(parts) == 1 else lambda record: _every([part(record) for part in parts])

    def term(self) -> Any:
        kind, value = self.peek()
        if (kind, value) == ("path", "not"):
            self.place += 1
            inner = self.term()
            return lambda record: None if (found := inner(record)) is None else not found
        if (kind, value) == ("sign", "("):
            self.place += 1
            inner = self.any_of()
            self.take("sign", ")")
            return inner
        path = self.take("path")
        if self.peek() == ("sign", "("):
            return self.call(path)
        return self.comparison(path)

    def call(self, name: str) -> Any:
        self.take("sign", "(")
        if name == "OData.CSC.Intersects":
            self.take("path", "area")
            self.take("sign", "=")
            area = _geography(self.take("area"))
            self.take("sign", ")")
            return lambda record: _meets(record, area)
        if name in _WORDS:
            path = self.take("path")
            self.take("sign", ",")
            part = _string(self.take("string"))
            self.take("sign", ")")
            return lambda record: (
                None if (found := _value(record, path)) is None else _WORDS[name](found, part)
            )
        if name.endswith("/any") and name.startswith("Attributes/"):
            return self.any(name.split("/")[1])
        raise BadQueryError(f"no function {name}")

    def any(self, kind: str) -> Any:
        variable = self.take("path")
        self.take("sign", ":")
        inner = self.any_of()
        self.take("sign", ")")

        def found(record: dict[str, Any]) -> Truth:
            listed = [one for one in record.get("Attributes", []) if one["@odata.type"] == f"#{kind}"]
            return any(inner({variable: one}) for one in listed)

        return found

    def comparison(self, path: str) -> Any:
        operator = _OPERATORS.get(self.take("path"))
        if operator is None:
            raise BadQueryError("no such operator")
        kind, written = self.peek()
        self.place += 1
        readers: dict[str, Callable[[str], Any]] = {
            "string": _string,
            "number": float,
            "time": datetime.fromisoformat,
        }
        if kind not in readers:
            raise BadQueryError(f"no literal: {written}")
        literal = readers[kind](written)

        def found(record: dict[str, Any]) -> Truth:
            value = _value(record, path)
            if value is None:
                return None
            if isinstance(literal, datetime):
                value = datetime.fromisoformat(value)
            elif isinstance(literal, str) != isinstance(value, str):
                raise BadQueryError(f"{path}: the literal is of another type")
            return operator(value, literal)

        if path in _TIMES and not isinstance(literal, datetime):
            raise BadQueryError(f"{path} is a time")
        return found


def _anything(record: dict[str, Any]) -> Truth:
    return bool(record)


def _some(found: list[Truth]) -> Truth:
    return True if True in found else None if None in found else False


def _every(found: list[Truth]) -> Truth:
    return False if False in found else None if None in found else True


def _string(written: str) -> str:
    return written[1:-1].replace("''", "'")


def _geography(written: str) -> shapely.Geometry:
    inner = re.fullmatch(r"geography'SRID=4326;((?:POLYGON|POINT) ?\(.+\))'", written)
    if not inner:
        raise BadQueryError("an area is a POLYGON or a POINT with SRID=4326")
    try:
        return shapely.from_wkt(inner[1])
    except shapely.errors.ShapelyError as error:
        raise BadQueryError("no WKT") from error


def _meets(record: dict[str, Any], area: shapely.Geometry) -> Truth:
    if record["GeoFootprint"] is None:
        return None
    return bool(shapely.geometry.shape(record["GeoFootprint"]).intersects(area))


def _value(record: dict[str, Any], path: str) -> Any:
    found: Any = record
    for part in path.split("/"):
        if part.startswith("OData.CSC."):
            continue
        if not isinstance(found, dict) or part not in found:
            raise BadQueryError(f"no field {path}")
        found = found[part]
    return found


class RecordedOData:
    """The service; `asked` keeps the filters."""

    def __init__(self, folder: Path, *, with_links: bool = True) -> None:
        lines = (folder / "products.jsonl").read_text().splitlines()
        self.products: list[tuple[str, dict[str, Any]]] = [
            (one["Collection"], one["Product"]) for one in map(json.loads, lines)
        ]
        self._attributes = json.loads((folder / "attributes.json").read_text())
        self._with_links = with_links
        self.asked: list[str] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            if request.path == "/odata/v1/Attributes":
                return web.json_response(self._attributes)
            if request.path == "/odata/v1/Products":
                return web.json_response(
                    self.find(parse_qsl(request.rel_url.raw_query_string), str(request.url))
                )
        except BadQueryError as error:
            return web.json_response({"detail": {"message": str(error), "request_id": "0"}}, status=400)
        return web.json_response({"detail": "Not Found"}, status=404)

    def find(self, asked: list[tuple[str, str]], url: str) -> dict[str, Any]:
        """Evaluate a query."""
        given = dict(asked)
        if strange := set(given) - {"$filter", "$orderby", "$top", "$skip", "$expand"}:
            raise BadQueryError(f"not known here: {strange}")
        expanded = {value for key, value in asked if key == "$expand"}
        self.asked.append(given.get("$filter", ""))
        test = Parser(given["$filter"]).parse() if "$filter" in given else _anything
        found = [
            product
            for name, product in self.products
            if test(product | {"Collection": {"Name": name}}) is True
        ]
        path, _, direction = given.get("$orderby", "ContentDate/Start asc").partition(" ")
        if path not in _ORDERS or direction not in {"asc", "desc"}:
            raise BadQueryError("$orderby")
        found.sort(key=lambda one: datetime.fromisoformat(_value(one, path)), reverse=direction == "desc")
        skip, top = int(given.get("$skip", "0")), int(given.get("$top", "20"))
        if not (0 < top <= 1000 and 0 <= skip <= 10_000):
            raise BadQueryError("$top is at most 1000, $skip 10000")
        hidden = {"Attributes", "Assets"} - expanded
        page = [
            {key: value for key, value in one.items() if key not in hidden}
            for one in found[skip : skip + top]
        ]
        answer: dict[str, Any] = {"@odata.context": "$metadata#Products", "value": page}
        if self._with_links and skip + top < len(found):
            kept = [(key, value) for key, value in asked if key != "$skip"]
            query = urlencode([*kept, ("$skip", str(skip + top))])
            answer["@odata.nextLink"] = (
                f"http://catalogue.internal{url[url.index('/odata') :].partition('?')[0]}?{query}"
            )
        return answer
