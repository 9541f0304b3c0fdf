"""The cubes: seen without an account, guarded where that is said, and the same numbers everywhere."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest
from cubehub_tests.cubes import Facts, data_tile, facts, picture
from cubehub_tests.people import Visitor
from cubehub_tests.platform import Whole
from cubehub_tests.realm import in_group, realm, suspended, user_id
from cubehub_tests.servers import Account

pytestmark = pytest.mark.whole
NAMES = {"olci-water-quality", "msi-ndvi", "olci-water-quality-demo"}
BASE = "/services/cubes"


FOR_ACCOUNTS = "peipsi-demo-members"
FOR_A_GROUP = "standard-only"
FOR_ITS_OWNER = "petra-only"


@pytest.fixture
def stranger(whole: Whole) -> Iterator[httpx.Client]:
    """Give somebody without an account."""
    visitor = Visitor.arrive(whole)
    yield visitor.http
    visitor.http.close()


@pytest.fixture(scope="module")
def closed(whole: Whole) -> Iterator[None]:
    """Have a cube for /cubehub/standard and one for Petra; they are put there while the server runs."""
    for name, person in ((FOR_A_GROUP, "ana"), (FOR_ITS_OWNER, "petra")):
        shutil.copytree(
            whole.data / "cubes/olci-water-quality", whole.data / "cubes" / name, dirs_exist_ok=True
        )
        visitor = Visitor.arrive(whole)
        bearer = {"Authorization": f"Bearer {visitor.cubes_token(person)}"}
        ends = time.monotonic() + 60
        while visitor.http.get(f"{BASE}/datasets/{name}", headers=bearer).is_error:
            assert time.monotonic() < ends, "a cube that is listed and built does not appear"
            time.sleep(1)
        visitor.http.close()
    yield
    for name in (FOR_A_GROUP, FOR_ITS_OWNER):
        shutil.rmtree(whole.data / "cubes" / name)


@pytest.fixture
def guest(whole: Whole) -> Iterator[str]:
    """Give the name of a person of these tests' own, in no group."""
    name, password = "kuno", "a-guest-who-looks-at-cubes"
    with realm(whole) as api:
        api.post(
            "users",
            {
                "username": name, "enabled": True, "email": "kuno@example.org", "firstName": "Kuno", "lastName": "Guest",
                "credentials": [{"type": "password", "value": password}],
            },
        )  # fmt: skip
        whole.accounts[name] = password
        yield name
        api.delete(f"users/{user_id(api, name)}")


def tile_address(cube: str, known: Facts) -> str:
    """Address of a tile with values."""
    zoom, row, column = data_tile(known)
    return f"{BASE}/tiles/{cube}/conc_chl/{zoom}/{row}/{column}"


def test_the_viewer_needs_no_account(stranger: httpx.Client) -> None:
    page = stranger.get(f"{BASE}/viewer/")
    assert page.status_code == httpx.codes.OK
    assert page.url.path.startswith(f"{BASE}/viewer")
    assert page.headers["content-type"].startswith("text/html")
    found = {dataset["id"] for dataset in stranger.get(f"{BASE}/datasets").json()["datasets"]}
    assert found == NAMES


def test_a_tile_of_chlorophyll_has_data(whole: Whole, stranger: httpx.Client) -> None:
    known = facts(whole.data, "olci-water-quality", "conc_chl")
    answer = stranger.get(
        tile_address("olci-water-quality", known), params={"time": known.fullest_time, "crs": "EPSG:3857"}
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    assert answer.headers["content-type"] == "image/png"
    found = picture(whole.data / "envs", answer.content)
    assert found["shape"] == [256, 256, 4]
    assert found["opaque"] > 500
    assert found["colours"] > 20, "a colour map, not one colour"


def test_a_time_series_is_what_xarray_reads_from_the_files(whole: Whole, stranger: httpx.Client) -> None:
    known = facts(whole.data, "olci-water-quality", "conc_chl")
    answer = stranger.post(
        f"{BASE}/timeseries/olci-water-quality/conc_chl",
        json={"type": "Point", "coordinates": [known.lon, known.lat]},
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    rows = answer.json()["result"]
    found = {row["time"][:19]: row["mean"] for row in rows if row.get("mean") is not None}
    assert len(known.series) >= 2
    assert found == pytest.approx(known.series, rel=1e-6)


def test_the_synthetic_cube_says_so(stranger: httpx.Client) -> None:
    listed = {dataset["id"]: dataset for dataset in stranger.get(f"{BASE}/datasets").json()["datasets"]}
    assert (
        "synthetic demonstration, not a measurement" in json.dumps(listed["olci-water-quality-demo"]).lower()
    )


def test_no_dataset_answers_with_a_traceback(stranger: httpx.Client) -> None:
    for path in ("/datasets/no-such-cube", "/tiles/no-such-cube/x/0/0/0", "/timeseries/no-such-cube/x"):
        answer = stranger.get(BASE + path)
        assert answer.is_client_error, path
        assert "Traceback" not in answer.text
        assert 'File \\"' not in answer.text


GUARDED_ROUTES = (
    "/datasets/{id}",
    "/datasets/{id}/vars/conc_chl",
    "/tiles/{id}/conc_chl/0/0/0",
    "/s3/datasets/{id}.zarr/zarr.json",
    "/s3/pyramids/{id}.levels/0.zarr/zarr.json",
    "/wmts/1.0.0/tile/{id}/conc_chl/0/0/0.png",
    "/ogc/collections/{id}",
)


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("name", [FOR_ACCOUNTS, FOR_A_GROUP, FOR_ITS_OWNER])
def test_a_guarded_cube_shows_nothing_without_an_account(stranger: httpx.Client, name: str) -> None:
    answers = {route: stranger.get(BASE + route.format(id=name)).status_code for route in GUARDED_ROUTES}
    series = f"{BASE}/timeseries/{name}/conc_chl"
    answers["series"] = stranger.post(series, json={"type": "Point", "coordinates": [27.4, 58.6]}).status_code
    assert set(answers.values()) <= {401, 403, 404}, answers
    for listing in ("/datasets", "/ogc/collections", "/s3/datasets?list-type=2", "/s3/pyramids?list-type=2"):
        assert name not in stranger.get(BASE + listing).text, listing


@pytest.mark.parametrize(("person", "cube", "opens"), [
    ("ana", FOR_ACCOUNTS, True),
    ("ana", FOR_A_GROUP, True),
    ("viktor", FOR_ACCOUNTS, True),
    ("viktor", FOR_A_GROUP, False),
    ("petra", FOR_A_GROUP, False),
    ("petra", FOR_ITS_OWNER, True),
    ("ana", FOR_ITS_OWNER, False),
    ("viktor", FOR_ITS_OWNER, False),
])  # fmt: skip
@pytest.mark.usefixtures("closed")
def test_a_guarded_cube_opens_for_those_it_is_for(
    whole: Whole, stranger: httpx.Client, person: str, cube: str, *, opens: bool
) -> None:
    known = facts(whole.data, cube, "conc_chl")
    visitor = Visitor.arrive(whole)
    bearer = {"Authorization": f"Bearer {visitor.cubes_token(person)}"}
    visitor.http.close()
    place = {"type": "Point", "coordinates": [known.lon, known.lat]}
    answers = {
        "listed": stranger.get(f"{BASE}/datasets/{cube}", headers=bearer),
        "series": stranger.post(f"{BASE}/timeseries/{cube}/conc_chl", json=place, headers=bearer),
        "tile": stranger.get(
            tile_address(cube, known), params={"time": known.fullest_time, "crs": "EPSG:3857"}, headers=bearer
        ),
        "files": stranger.get(f"{BASE}/s3/datasets/{cube}.zarr/zarr.json", headers=bearer),
    }
    status = {what: answer.status_code for what, answer in answers.items()}
    if opens:
        assert status == dict.fromkeys(answers, httpx.codes.OK)
    else:
        assert set(status.values()) <= {401, 403, 404}, status


def test_a_false_token_is_worth_nothing(stranger: httpx.Client) -> None:
    # algorithm none, somebody else's signature, and no token at all
    for token in (
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbmEifQ.",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2ln",
        "rubbish",
    ):
        answer = stranger.get(
            f"{BASE}/tiles/{FOR_ACCOUNTS}/conc_chl/0/0/0", headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code in {401, 403, 404}


class Sightseer:
    """Looks at tiles with one token, and with the cookie that it got for it, for as long as they do."""

    def __init__(self, whole: Whole, name: str) -> None:
        visitor = Visitor.arrive(whole)
        token = visitor.cubes_token(name)
        visitor.http.close()
        self.known = facts(whole.data, "olci-water-quality", "conc_chl")
        self.bearer = httpx.Client(
            base_url=whole.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False
        )
        self.cookie = httpx.Client(base_url=whole.url, trust_env=False)
        given = self.bearer.post(f"{BASE}/session")
        assert given.status_code == httpx.codes.NO_CONTENT, given.text
        self.cookie.headers["Cookie"] = given.headers["set-cookie"].partition(";")[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.bearer.close()
        self.cookie.close()

    def sees(self, cube: str) -> tuple[int, int]:
        """Status of a tile of a cube, by token and by cookie."""
        address = tile_address(cube, self.known) + "?crs=EPSG:3857"
        return self.bearer.get(address).status_code, self.cookie.get(address).status_code

    def until(self, cube: str, *statuses: int) -> float:
        """Wait for both to be answered with one of these; give how long it took."""
        began = time.monotonic()
        while not set(self.sees(cube)) <= set(statuses):
            assert time.monotonic() - began < 60, self.sees(cube)
            time.sleep(0.5)
        return time.monotonic() - began


@pytest.mark.usefixtures("closed")
def test_a_suspension_and_a_move_reach_the_cubes_within_a_minute(whole: Whole, guest: str) -> None:
    took = {}
    with Sightseer(whole, guest) as kuno:
        assert kuno.sees(FOR_ACCOUNTS) == kuno.sees("olci-water-quality") == (200, 200)
        assert kuno.sees(FOR_A_GROUP) == (404, 404)
        with in_group(whole, guest, "/cubehub/standard"):
            took["joined"] = kuno.until(FOR_A_GROUP, 200)
        took["left"] = kuno.until(FOR_A_GROUP, 404)
        assert kuno.sees(FOR_ACCOUNTS) == (200, 200), "the token still holds"
        ended = whole.run("users", "suspend", guest, "--reason", "for a test", "--json").json
        assert ended["reached"]["problems"] == []
        took["suspended"] = kuno.until(FOR_ACCOUNTS, 401, 404)
        assert kuno.sees(FOR_ACCOUNTS) == kuno.sees("no-such-cube"), "forbidden looks like unknown"
        assert kuno.sees("olci-water-quality") == (200, 200), "what is public stays"
        listed = kuno.bearer.get(f"{BASE}/datasets").json()["datasets"]
        assert {dataset["id"] for dataset in listed} == NAMES
    whole.run("users", "resume", guest)
    with Sightseer(whole, guest) as again:
        assert again.sees(FOR_ACCOUNTS) == (200, 200)
        with suspended(whole, guest):
            took["switched off in Keycloak's own page"] = again.until(FOR_ACCOUNTS, 401, 404)
    print({what: round(seconds, 1) for what, seconds in took.items()})


def test_the_same_cube_opens_in_a_notebook(whole: Whole, ana: Account) -> None:
    ana.start()
    code = """
import os, xarray as xr
cube = xr.open_zarr(os.environ['CUBEHUB_CUBES_URL'] + '/s3/datasets/olci-water-quality.zarr', consolidated=True)
print(float(cube['conc_chl'].isel(time=-1).mean()))
"""
    with ana.kernel() as kernel:
        mean = float(kernel.run(code).text)
    assert mean == pytest.approx(facts(whole.data, "olci-water-quality", "conc_chl").mean_of_last, rel=1e-4)


def test_build_and_list_through_the_command(whole: Whole, tmp_path: Path) -> None:
    listed = whole.run("cubes", "list", "--json").json
    assert {cube["name"] for cube in listed["cubes"] if cube["built"]} >= NAMES
    before = {path: path.stat().st_mtime_ns for path in (whole.data / "cubes").glob("*/build.json")}
    again = [json.loads(line) for line in whole.run("cubes", "build", "--json").stdout.splitlines()]
    outcomes = {event["cube"]: event["event"] for event in again if event["event"] != "progress"}
    assert set(outcomes) >= NAMES
    assert set(outcomes.values()) == {"unchanged"}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    refused = whole.run("cubes", "build", "no-such-cube", check=False)
    assert refused.status == 2
    assert "no-such-cube" in refused.stderr
    assert "hint:" in refused.stderr
    empty = whole.run("cubes", "build", "msi-ndvi", "--source", str(tmp_path), check=False)
    assert empty.status != 0
    assert "error:" in empty.stderr
    assert all(path.exists() for path in before)
