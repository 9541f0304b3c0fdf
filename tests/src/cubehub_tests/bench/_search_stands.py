"""Catalogues of every temper, in a process of their own; prints their addresses and stays until its input ends."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import sys
from typing import TYPE_CHECKING, Any

from aiohttp import web

from cubehub_tests.catalogue_search import StacStandIn
from cubehub_tests.platform import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

ITEM = "extensions/catalogue/tests/data/items/stac.dataspace.copernicus.eu__sentinel-2-l2a__S2B_MSIL2A_20200705T101559_N0500_R065_T32TMT_20230530T175912.json"
FAST_S, SLOW_S, PAGE, ASSETS = 0.05, 1.0, 50, 30


def page(name: str) -> dict[str, Any]:
    """Make a page as large as catalogues send them: fifty scenes of thirty assets."""
    item = json.loads((REPOSITORY / ITEM).read_text(encoding="utf-8"))
    asset = {
        "href": "s3://eodata/Sentinel-2/MSI/L2A_N0500/2020/07/05/S2B_MSIL2A_20200705T101559.SAFE/GRANULE/B02_10m.jp2",
        "type": "image/jp2", "roles": ["data", "reflectance", "sampling:original"], "title": "Blue (band 2) - 10m",
        "file:size": 108_000_000, "proj:shape": [10980, 10980], "proj:code": "EPSG:32632", "gsd": 10,
        "bands": [{"name": "B02", "eo:common_name": "blue", "eo:center_wavelength": 0.49}],
        "proj:transform": [10.0, 0.0, 399960.0, 0.0, -10.0, 5200020.0],
    }  # fmt: skip
    item["assets"] = {f"B{n:02}": asset for n in range(ASSETS)}
    features = []
    for number in range(PAGE):
        one = copy.deepcopy(item)
        one["id"] = f"{name}-{number}"
        moment = f"2024-05-{1 + number % 28:02}T{number % 24:02}:00:00Z"
        one["properties"] |= {"datetime": moment, "start_datetime": moment, "end_datetime": moment}
        one["properties"].pop("eopf:datatake_id", None)
        features.append(one)
    features.sort(key=lambda one: str(one["properties"]["datetime"]), reverse=True)
    return {"type": "FeatureCollection", "features": features, "links": []}


def behaviour(kind: str, body: bytes) -> Callable[[int], Coroutine[Any, Any, web.StreamResponse]]:
    """Give what a catalogue of this temper does with a search."""

    async def answer(_number: int) -> web.StreamResponse:
        if kind == "hangs":
            await asyncio.sleep(3600)
        if kind == "rubbish":
            return web.Response(text="<html>maintenance</html>", content_type="text/html")
        await asyncio.sleep({"fast": FAST_S, "slow": SLOW_S}.get(kind, 0))
        if kind == "breaks":
            return web.Response(status=500, body=body[: len(body) // 2], content_type="application/json")
        return web.Response(body=body, content_type="application/geo+json")

    return answer


async def main() -> None:
    """Serve until the input ends."""
    async with contextlib.AsyncExitStack() as stack:
        urls = {}
        for kind in ("fast", "slow", "hangs", "breaks", "rubbish", "at-once"):
            server = StacStandIn(before_search=behaviour(kind, json.dumps(page(kind)).encode()))
            urls[kind] = await stack.enter_async_context(server.serving())
        print(json.dumps(urls), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
