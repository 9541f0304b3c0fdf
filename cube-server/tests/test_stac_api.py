"""A STAC API as a source: pages, both sides of the antimeridian, and servers that misbehave."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from affine import Affine

from scenes import catalogue, make_s2
from xcube_cubehub.errors import BadInputError, SourceMissingError, SourceUnreachableError
from xcube_cubehub.making import load_recipe
from xcube_cubehub.sources import open_source
from xcube_cubehub.steps import Area, TimeRange

SMALL = np.full((4, 4), 1000, np.uint16)


def find(text, **options):
    return open_source(text, options).find(Area(-180, -90, 180, 90), TimeRange())


class Api:
    """A STAC API with pages; ``broken`` says how it misbehaves."""

    def __init__(self, items, broken=""):
        self.items, self.broken, self.asked = items, broken, []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(
                    {
                        "type": "Catalog",
                        "id": "x",
                        "stac_version": "1.0.0",
                        "description": "",
                        "conformsTo": [
                            "https://api.stacspec.org/v1.0.0/core",
                            "https://api.stacspec.org/v1.0.0/item-search",
                            "https://api.stacspec.org/v1.0.0/item-search#query",
                        ],
                        "links": [
                            {"rel": "self", "href": api.url},
                            {
                                "rel": "search",
                                "href": f"{api.url}/search",
                                "type": "application/geo+json",
                                "method": "POST",
                            },
                        ],
                    }
                )

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.asked.append(body)
                at = int(body.get("token", 0))
                page = {"type": "FeatureCollection", "features": api.items[at : at + 2], "links": []}
                if api.broken == "endless":
                    page["features"] = [{**item, "id": f"{item['id']}{at}"} for item in api.items[:2]]
                if at + 2 < len(api.items) or api.broken == "endless":
                    page["links"] = [
                        {
                            "rel": "next",
                            "href": f"{api.url}/search",
                            "method": "POST",
                            "body": {**body, "token": str(at + 2)},
                        }
                    ]
                self.answer(page)

            def answer(self, document):
                data = json.dumps(document).encode()
                status = 200
                if api.broken == "html":
                    data = b"<html>hello</html>"
                if api.broken == "no query":
                    data = data.replace(b"#query", b"#other")
                if api.broken == "error":
                    status = 500
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_args):
                """Keep the test output quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def items(tmp_path):
    made = []
    for day in (15, 16, 17):
        path = make_s2(
            tmp_path, SMALL, SMALL, SMALL, identity=f"S2A_33TWM_202308{day}_0_L2A", take=f"202308{day}T095031"
        )
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            asset["href"] = f"https://host/{item['id']}/{asset['href']}"
        made.append(item)
    shutil.rmtree(tmp_path)
    return made


def test_an_api_is_asked_page_by_page_and_on_both_sides_of_the_antimeridian(items):
    with Api(items) as api:
        source = open_source(f"stac+{api.url}#sentinel-2-l2a", {"query": {"eo:cloud_cover": {"lt": 80}}})
        time = TimeRange(np.datetime64("2023-08-01T00:00:00"), None)
        found = source.find(Area(170, -10, -170, 10), time)
    assert [scene.name for scene in found.scenes] == [item["id"] for item in items]
    assert found.scenes[0].assets["B04"].href == "https://host/S2A_33TWM_20230815_0_L2A/B04.tif"
    first = [body for body in api.asked if "token" not in body]
    assert [body["bbox"] for body in first] == [[170, -10, 180, 10], [-180, -10, -170, 10]]
    assert first[0]["datetime"] == "2023-08-01T00:00:00Z/.."
    assert first[0]["collections"] == ["sentinel-2-l2a"]


def test_a_remote_item_never_names_a_local_file(items):
    for name, href in (("red", "/etc/hostname"), ("nir", "file:/etc/hostname"), ("scl", "../../x.tif")):
        items[0]["assets"][name]["href"] = href
    # an item says where it is itself; that is no reason to read from a store with this machine's keys
    items[0]["links"] = [{"rel": "self", "href": "s3://private/item.json"}]
    with Api(items[:1]) as api:
        found = find(f"stac+{api.url}")
    scene = found.scenes[0]
    assert "B08" not in scene.assets
    assert "without B08" in found.report[0].reason
    assert all(asset.href.startswith("http://127.0.0.1") for asset in scene.assets.values())


@pytest.mark.parametrize("broken", ["html", "error"])
def test_an_api_that_is_none_is_an_error_with_a_hint(items, broken):
    with Api(items, broken) as api, pytest.raises(SourceUnreachableError) as caught:
        find(f"stac+{api.url}")
    assert caught.value.hint


def test_pages_without_end_end(items):
    with Api(items, "endless") as api, pytest.raises(SourceMissingError, match="more than 10 items"):
        find(f"stac+{api.url}", max_items=10)


def test_a_query_that_the_api_would_pass_over_is_refused(items):
    with Api(items, "no query") as api, pytest.raises(BadInputError, match="query"):
        find(f"stac+{api.url}", query={"eo:cloud_cover": {"lt": 80}})


@pytest.fixture
def served(tmp_path):
    """A folder on a web server that knows ranges no better than most, and its address."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *_args):
            """Keep the test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_static_catalogue_on_a_web_server_and_its_pixels(served):
    folder, url = served
    layers = [np.full((20, 20), value, np.uint16) for value in (1300, 3700, 4)]
    path = make_s2(folder / "a", *layers, transform=Affine(20, 0, 499900, 0, -20, 5099200))
    catalogue(folder / "a", [path])
    recipe = load_recipe("msi-ndvi").with_grid("utm", 20)
    area = Area(15.0, 46.0435, 15.001, 46.0439)
    plan = recipe.plan(
        open_source(f"{url}/a/catalog.json"), area, TimeRange(), np.datetime64("2023-12-01T00:00:00")
    )
    assert plan.steps[0].scenes[0].assets["B04"].href.startswith(url)
    made = recipe.make(plan, plan.steps[0])
    np.testing.assert_allclose(made.values["ndvi"], 0.8, rtol=1e-6)
    with pytest.raises(SourceMissingError):
        find(f"{url}/none/catalog.json")


def test_tiles_in_a_bucket_of_ones_own(served):
    """GDAL asks the endpoint that the options name, unsigned: bucket and key are its path."""
    folder, url = served
    layers = [np.full((20, 20), value, np.uint16) for value in (1300, 3700, 4)]
    path = make_s2(folder / "bucket", *layers, transform=Affine(20, 0, 499900, 0, -20, 5099200))
    item = json.loads(path.read_text())
    for asset in item["assets"].values():
        asset["href"] = f"s3://bucket/{item['id']}/{asset['href']}"
    path.write_text(json.dumps(item))
    catalogue(folder / "bucket", [path])
    source = open_source(str(folder / "bucket"), {"anon": True, "endpoint_url": url})
    recipe = load_recipe("msi-ndvi").with_grid("utm", 20)
    area = Area(15.0, 46.0435, 15.001, 46.0439)
    plan = recipe.plan(source, area, TimeRange(), np.datetime64("2023-12-01T00:00:00"))
    made = recipe.make(plan, plan.steps[0])
    assert made.report == ()
    np.testing.assert_allclose(made.values["ndvi"], 0.8, rtol=1e-6)


def test_nobody_there():
    with pytest.raises(SourceUnreachableError):
        find("stac+http://127.0.0.1:9")
