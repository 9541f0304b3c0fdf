"""The publisher's side: what is told of a dataset, how it looks, and the records for other catalogues."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import cubehub
import numpy as np
import pystac
import pystac.validation
import pytest
import xarray as xr
from cubehub.errors import BadInputError
from cubehub.publishing import Published, PublishingError
from cubehub.publishing.osc import Osc, documents
from cubehub.publishing.service import Service
from cubehub.publishing.structure import as_dataset, days_of, structure_of, styles_of, usual_range

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def ds() -> xr.Dataset:
    times = np.array(["2024-06-01", "2024-06-02"], "datetime64[ns]")
    values = np.linspace(0, 100, 2 * 20 * 30, dtype="f4").reshape(2, 20, 30)
    return xr.Dataset(
        {
            "chl": (
                ("time", "lat", "lon"),
                values,
                {"units": "mg m-3", "odd": object(), "nan": np.nan, "n": np.int16(3)},
            )
        },
        {"time": times, "lat": np.linspace(59, 58, 20), "lon": np.linspace(26, 27, 30)},
        {"title": "A lake"},
    )


def test_the_structure_is_json_and_has_no_data(ds: xr.Dataset) -> None:
    ds["chl"].encoding = {"dtype": np.dtype("int16"), "_FillValue": np.int16(-1), "chunks": (1, 2, 3)}
    found = structure_of(ds)
    assert len(json.dumps(found, allow_nan=False)) < 3000
    assert found["variables"]["chl"]["attrs"] == {"units": "mg m-3", "n": 3}
    assert found["variables"]["chl"]["encoding"] == {"dtype": "int16", "_FillValue": -1}
    assert found["coords"]["time"]["values"] == [1717200000 * 10**9, 1717286400 * 10**9]
    ds["time"] = np.array(["2024-06-01", "NaT"], "datetime64[ns]")
    assert structure_of(ds)["coords"]["time"]["values"][1] is None


def test_styles(ds: xr.Dataset) -> None:
    assert styles_of(ds, None) == {"chl": {}}
    assert styles_of(ds, "YlGn") == {"chl": {"colours": "YlGn"}}
    assert styles_of(ds, {"range": (1, 2)}) == {"chl": {"range": [1.0, 2.0]}}
    assert styles_of(ds, {"chl": "YlGn"}) == {"chl": {"colours": "YlGn"}}
    for bad in ({"chl": 3}, {"chl": {"color": "x"}}, {"range": (1, 2, 3)}, {"range": (0, float("nan"))}, 7):
        with pytest.raises(BadInputError):
            styles_of(ds, bad)


def test_the_usual_range(ds: xr.Dataset) -> None:
    assert usual_range(ds["chl"]) == pytest.approx([2, 98], abs=0.2)
    assert usual_range(ds["chl"] * 0 + 5) == [5, 10]
    assert usual_range(ds["chl"] * np.nan) == [0.1, 1.0]
    low, high = usual_range(ds["chl"] - 50, "log")
    assert 0 < low < high


def test_when_it_expires() -> None:
    assert days_of(None) is None
    for given in (30, "30d", timedelta(days=30), NOW + timedelta(days=30), "2026-01-31T00:00:00"):
        assert days_of(given, NOW) == 30
    assert days_of(date(2026, 1, 30), NOW) == 30
    for bad in ("soon", 0, -1, float("nan"), object(), True):
        with pytest.raises(BadInputError):
            days_of(bad, NOW)


def test_what_is_no_dataset_is_refused() -> None:
    with pytest.raises(BadInputError, match="list"):
        as_dataset([1])


def test_elsewhere_it_says_where_it_works(ds: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUBEHUB_URL", "CUBEHUB_CUBES_URL", "CUBEHUB_TOKEN", "JUPYTERHUB_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(PublishingError, match="not a server on a CubeHub platform"):
        cubehub.publish(ds, "x")
    with pytest.raises(BadInputError, match="access"):
        cubehub.publish(ds, "x", access="everyone")
    assert "hidden" not in repr(Service("http://h/services/cubes", "hidden"))


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "hidden")
    service = Service("http://127.0.0.1:1/services/cubes", "hidden", patience_s=0)
    with pytest.raises(PublishingError, match="does not answer") as refused:
        service.ask("GET", "/cubes")
    assert "hidden" not in str(refused.value)


def test_import_is_light() -> None:
    code = "import sys, cubehub; cubehub.publish; sys.exit('numpy' in sys.modules or 'jupyterhub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


CUBE = Published(
    "ana--my-lake", "my-lake", "My <lake>", "https://h/services/cubes/viewer/?dataset=ana--my-lake&variable=chl",
    "https://h/services/cubes/s3/pyramids/ana--my-lake.levels/0.zarr", "https://h/services/cubes/ogc/collections/datacubes/items/ana--my-lake",
    "ana", "public", NOW, True, 2, ("chl",), 2**20,
)  # fmt: skip
ITEM: dict[str, Any] = {
    "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": CUBE.id, "collection": "cubes",
    "bbox": [26, 58, 27, 59],
    "geometry": {"type": "Polygon", "coordinates": [[[26, 58], [27, 58], [27, 59], [26, 59], [26, 58]]]},
    "properties": {
        "title": CUBE.title, "description": "Made up", "datetime": None, "start_datetime": "2024-06-01T00:00:00Z",
        "end_datetime": "2024-06-02T00:00:00Z", "license": "CC-BY-4.0", "providers": [{"name": "ana", "roles": ["producer"]}],
        "cube:variables": {"chl": {"type": "data", "description": "Chlorophyll", "dimensions": ["time", "lat", "lon"]}},
    },
    "assets": {"zarr": {"href": "/services/cubes/s3/datasets/ana--my-lake.zarr", "roles": ["data"]}},
    "links": [{"rel": "alternate", "href": "/services/cubes/viewer/"}],
}  # fmt: skip


def test_a_notebook_shows_it_escaped() -> None:
    html = CUBE._repr_html_()
    assert "My &lt;lake&gt;" in html
    assert "<lake>" not in html


def test_records_for_the_open_science_catalogue(tmp_path: Path) -> None:
    osc = Osc(
        tmp_path,
        "my-project",
        ("oceans",),
        {"chl": "chlorophyll-a"},
        ("sentinel-3",),
        workflow="https://github.com/me/x",
    )
    made = documents(ITEM, CUBE, osc, NOW)
    for name, document in made.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(document))
    catalogue = pystac.Catalog.from_file(str(tmp_path / "stac/catalog.json"))
    found = list(catalogue.get_items(recursive=True))
    assert [item.id for item in found] == [CUBE.id]
    assert found[0].assets["zarr"].href.startswith("https://h/services/cubes/s3/")
    # the schemas of STAC itself come with pystac; those of its extensions are elsewhere
    for thing in (catalogue, *catalogue.get_children(), *found):
        thing.stac_extensions = []
        thing.validate()
    path = tmp_path / f"products/{CUBE.id}/collection.json"
    # its root is the catalogue of others, where it is proposed
    product = pystac.Collection.from_dict(json.loads(path.read_text()))
    fields = product.extra_fields
    assert (fields["osc:type"], fields["osc:project"], fields["osc:variables"]) == (
        "product",
        "my-project",
        ["chlorophyll-a"],
    )
    assert fields["themes"][0]["concepts"] == [{"id": "oceans"}]
    related = {link["href"] for link in json.loads(path.read_text())["links"] if link["rel"] == "related"}
    assert related == {
        "../../projects/my-project/collection.json", "../../themes/oceans/catalog.json", "../../eo-missions/sentinel-3/catalog.json",
        "../../variables/chlorophyll-a/catalog.json", f"../../experiments/{CUBE.id}-experiment/record.json",
    }  # fmt: skip
    # what pystac carries are the schemas of 1.1, which asks the same of a collection
    pystac.validation.validate_dict(
        json.loads(path.read_text()) | {"stac_extensions": [], "stac_version": "1.1.0"}
    )
    # what our own records name is there
    for name, document in made.items():
        for link in document["links"]:
            if link["href"].startswith(".") and CUBE.id in link["href"]:
                assert (tmp_path / name).parent.joinpath(link["href"]).resolve().is_file(), (name, link)
    for bad in ({"themes": ("seas",)}, {"project": "../up"}, {"status": "done"}, {"workflow": "me"}):
        with pytest.raises(BadInputError):
            Osc(tmp_path, **bad)  # type: ignore[arg-type]
