"""Cubes taken in by the real process behind the real fronts; the Hub is a stand-in."""

import json
import os
import signal
import time

import numpy as np
import pytest
import requests
import xarray as xr

from publisher import SERVICE_TOKEN, Publisher, fields, running_hub, wish
from support import start

pytestmark = pytest.mark.slow
POINT = {"type": "Point", "coordinates": [7.005, 54.995]}
ROW, COLUMN = 100, 200
YAML = """
publishing: {quota: 20M, cubes: 5, keep_free: 1M, longest: 100d, grace: 1h, max_times: 5000}
cubes:
  - id: msi-ndvi
    title: NDVI
    access: public
    attribution: nobody
    variables: [{name: ndvi, range: [0, 1]}]
"""


@pytest.fixture(scope="module")
def hub():
    with running_hub() as made:
        yield made


@pytest.fixture(scope="module")
def running(hub, issuer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("publishing")
    (folder / "cubes.yaml").write_text(YAML)
    (folder / "cubes").mkdir()
    made = start(
        folder, folder / "cubes", issuer.url, folder / "cubes.yaml", hub_api_url=hub.url, hub_api_token=SERVICE_TOKEN,
        workers=2,
    )  # fmt: skip
    wait((folder / "state" / "publishing.sock").exists)
    yield made
    made.process.send_signal(signal.SIGTERM)
    assert made.process.wait(30) == 0, made.log
    assert "Traceback" not in made.log, made.log


@pytest.fixture
def ana(running):
    return Publisher(running.base, "ana")


def wait(until, seconds=40):
    ends = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < ends
        time.sleep(0.1)


def point(running, cube, token=None):
    """Values at a point, asked of fronts by new connections until both have answered, mostly."""
    found = []
    for _ in range(8):
        answer = running.request("POST", f"/timeseries/{cube}/chl", token, json=POINT)
        assert answer.ok, answer.text
        found.append([row["mean"] for row in answer.json()["result"]])
    assert all(f == found[0] for f in found)
    return found[0]


def test_a_cube_is_there_when_it_is_said_to_be(running, ana):
    values = fields()
    cube = ana.publish(wish(title="My lake", description="Made up"), values)
    assert cube["id"] == "ana--my-lake"
    assert point(running, cube["id"]) == pytest.approx(values[:, ROW, COLUMN].tolist())
    for _ in range(8):
        tile = running.get(f"/tiles/{cube['id']}/chl/7/40/66?crs=EPSG:3857")
        assert tile.ok
        assert tile.headers["content-type"] == "image/png"
    assert cube["id"] in running.get("/datasets").text
    page = running.get("/viewer/?" + cube["url"].partition("?")[2])
    assert page.ok
    item = running.get(cube["item_url"].removeprefix(running.base))
    assert item.ok, item.text
    with xr.open_zarr(cube["zarr_url"], chunks=None) as found:
        assert found.chl[1, ROW, COLUMN].item() == pytest.approx(values[1, ROW, COLUMN])
        assert found.attrs["title"] == "My lake"
    items = running.folder / "cubes" / "published" / "items"
    assert [p.name for p in items.iterdir()] == ["ana--my-lake.item.json"]
    described = json.loads((items / "ana--my-lake.item.json").read_text())["properties"]
    assert described["cube:variables"]["chl"]["shape"] == list(values.shape)
    listed = ana.ask("GET", "/cubes").json()
    assert [c["name"] for c in listed["cubes"]] == ["my-lake"]
    assert listed["used_bytes"] == cube["bytes"] > 100_000
    assert Publisher(running.base, "petra").ask("GET", "/cubes").json()["cubes"] == []


def test_again_replaces_at_once_and_sends_only_what_is_new(running, ana):
    old, values = fields(), np.concatenate([fields(), fields(1, seed=5)])
    ana.publish(wish(), old)
    begun = ana.begin(wish(times=4))
    assert sorted(begun["known"]) == ["0", "1", "2"]
    for step in range(3):
        same = ana.ask("POST", f"/uploads/{begun['upload']}/steps/{step}?same={begun['known'][str(step)]}")
        assert same.ok, same.text
        assert len(point(running, "ana--my-lake")) == 3, "what is being sent is not shown"
    wrong = ana.ask("POST", f"/uploads/{begun['upload']}/steps/3?same={'0' * 64}")
    assert (wrong.status_code, wrong.json()["code"]) == (409, "not_the_same")
    ana.step(begun, 3, values[3])
    cube = ana.finish(begun)
    assert cube["id"] == "ana--my-lake"
    assert point(running, cube["id"]) == pytest.approx(values[:, ROW, COLUMN].tolist())


def test_only_its_owner_sees_it_and_others_do_not_learn_of_it(running, issuer, ana, hub):
    del hub
    cube = ana.publish(wish("secret", 1, access="owner"), fields(1))
    from publisher import IDS

    mine = issuer.token(sub=IDS["ana"])
    other = issuer.token(sub=IDS["petra"], preferred_username="petra")
    assert len(point(running, cube["id"], mine)) == 1
    for token in (None, other):
        for name in (cube["id"], "ana--nothing"):
            answers = [
                running.get(f"/datasets/{name}", token), running.get(f"/tiles/{name}/chl/7/40/66", token),
                running.get(f"/s3/pyramids/{name}.levels/0.zarr/zarr.json", token),
            ]  # fmt: skip
            assert {a.status_code for a in answers} == {404}
        assert cube["id"] not in running.get("/datasets", token).text
    assert not (running.folder / "cubes/published/items/ana--secret.item.json").exists()
    assert (running.folder / "cubes/published/items-for-some/ana--secret.item.json").exists()
    petra = Publisher(running.base, "petra")
    refused = [petra.ask("DELETE", f"/cubes/{n}") for n in (cube["id"], "ana--nothing")]
    assert {r.status_code for r in refused} == {404}
    assert {r.json()["code"] for r in refused} == {"no_cube"}
    for name in (cube["id"], "ana--nothing"):
        # named as another's id: what is found is the own one, whether or not there is the other
        petra.publish(wish(name, 1), fields(1))
        assert petra.ask("GET", f"/cubes/{name}/item").ok
        assert petra.ask("DELETE", f"/cubes/{name}?now=1").ok


def test_taken_back_is_gone_at_once_and_can_be_published_again(running, ana):
    cube = ana.publish(wish("brief", 1), fields(1))
    assert point(running, cube["id"])
    assert ana.ask("DELETE", "/cubes/brief").ok
    for _ in range(8):
        assert running.request("POST", f"/timeseries/{cube['id']}/chl", json=POINT).status_code == 404
    kept = [c for c in ana.ask("GET", "/cubes").json()["cubes"] if c["name"] == "brief"]
    assert [c["live"] for c in kept] == [False]
    again = ana.publish(wish("brief", 1), fields(1))
    assert again["url"] == cube["url"]
    assert point(running, cube["id"])
    assert ana.ask("DELETE", "/cubes/brief?now=1").ok
    assert not list((running.folder / "cubes/published/cubes").glob(f"{cube['id']}.*/{'cube.json'}"))
    operator = requests.get(
        f"{running.base}/publishing/cubes?all=1", headers={"Authorization": "token operator"}, timeout=30
    )
    assert "ana--my-lake" in operator.text
    assert ana.ask("GET", "/cubes?all=1").status_code == 403


def test_expired_is_gone_and_comes_back_when_it_is_extended(running, ana):
    cube = ana.publish(wish("short", 1, expires_days=0.00006), fields(1))
    wait(lambda: running.get(f"/datasets/{cube['id']}").status_code == 404)
    assert ana.ask("PATCH", "/cubes/short", json={"expires_days": 500}).json()["code"] == "too_long"
    assert ana.ask("PATCH", "/cubes/short", json={"expires_days": 10}).ok
    wait(lambda: running.get(f"/datasets/{cube['id']}").ok)
    assert ana.ask("DELETE", "/cubes/short?now=1").ok


def test_killed_in_the_middle_it_goes_on(running, ana):
    values = fields(4, seed=9)
    asked = wish("killed", 4)
    begun = ana.begin(asked)
    first = ana.step(begun, 0, values[0])
    pid = publisher_pid(running)
    os.kill(pid, signal.SIGKILL)
    wait(lambda: publisher_pid(running) not in {None, pid})
    wait(lambda: ana.ask("GET", f"/uploads/{begun['upload']}").ok)
    again = ana.begin(asked)
    assert (again["upload"], again["resumed"], again["next"]) == (begun["upload"], True, 1)
    assert again["fingerprints"] == [first]
    for step in (1, 2, 3):
        ana.step(again, step, values[step])
    assert ana.ask("POST", f"/uploads/{begun['upload']}/finish").ok
    os.kill(publisher_pid(running), signal.SIGKILL)
    wait(lambda: ana.ask("GET", "/cubes").ok)
    if not any(c["name"] == "killed" for c in ana.ask("GET", "/cubes").json()["cubes"]):
        ana.finish(again)
    assert point(running, "ana--killed") == pytest.approx(values[:, ROW, COLUMN].tolist())
    assert ana.ask("DELETE", "/cubes/killed?now=1").ok


def publisher_pid(running):
    children = f"/proc/{running.process.pid}/task/{running.process.pid}/children"
    with open(children) as file:  # noqa: PTH123
        for pid in file.read().split():
            try:
                with open(f"/proc/{pid}/cmdline") as line:  # noqa: PTH123
                    if "--publishing" in line.read():
                        return int(pid)
            except OSError:
                continue
    return None


def test_who_may_not(running, hub):
    def code(name, **more):
        answer = Publisher(running.base, name).ask("POST", "/uploads", json=wish("no", 1, **more))
        return answer.status_code, answer.json()["code"]

    assert code("nobody") == (401, "bad_token")
    assert code("viktor") == (403, "may_not_publish")
    assert code("ana", access=["/cubehub/premium"]) == (403, "not_your_group")
    assert code("ana", expires_days=101) == (422, "too_long")
    assert requests.get(f"{running.base}/publishing/cubes", timeout=30).status_code == 401
    # tokens that were not asked about yet: an answer counts for half a minute
    hub.suspended.add("ana")
    try:
        assert code("ana.1") == (403, "account_disabled")
    finally:
        hub.suspended.clear()
    hub.scopes["ana"] = ["self"]
    try:
        assert code("ana.2") == (403, "no_scope")
    finally:
        hub.scopes["ana"] = ["access:services!service=cubes"]
    hub.down = True
    try:
        assert code("ana.3") == (503, "hub_unavailable")
    finally:
        hub.down = False
    assert Publisher(running.base, "ana.3").ask("GET", "/cubes").ok


def test_every_route_needs_a_token(running):
    from xcube_cubehub.publishing.api import Api

    routes = [
        (route.method, route.resource.canonical)
        for route in Api(None, None).application("").router.routes()
        if route.resource
    ]
    assert len(routes) > 10
    names = {
        "{upload}": "0" * 32,
        "{step}": "0",
        "{variable}": "chl",
        "{part}": "0",
        "{cube}": "ana--my-lake",
    }
    for method, path in routes:
        for name, value in names.items():
            path = path.replace(name, value)  # noqa: PLW2901
        for headers in (
            {},
            {"Authorization": "token wrong"},
            {"Authorization": "Basic YTpi"},
            {"Cookie": "cubehub=x"},
        ):
            answer = requests.request(method, running.base + path, headers=headers, timeout=30)
            assert answer.status_code == (200 if path.endswith("/health") else 401), (method, path)


def test_what_is_wrong_is_said_as_a_list(ana):
    bad = wish("../up", 3, style={"chl": {"colours": "Viridis", "range": [5, 1]}, "tsm": {}})
    bad["structure"]["coords"]["lat"]["values"][7] += 0.3
    bad["structure"]["coords"]["time"]["values"][2] = bad["structure"]["coords"]["time"]["values"][1]
    answer = ana.ask("POST", "/uploads", json=bad)
    assert answer.status_code == 422
    errors = {p["where"]: p for p in answer.json()["problems"] if p["level"] == "error"}
    assert set(errors) == {"name", "lat", "time", "style of chl", "style of tsm"}
    assert "place 7" in errors["lat"]["message"]
    assert all(p["hint"] for p in errors.values())


def test_hostile_requests_get_a_refusal_and_nothing_more(running, ana):
    begun = ana.begin(wish("hostile", 2))
    upload = f"/uploads/{begun['upload']}"
    huge = wish("huge", 1)
    huge["structure"]["sizes"] = {"time": 10**9, "lat": 10**9, "lon": 10**9}
    huge["structure"]["coords"]["lat"]["values"] = [0.0] * 70_000
    nan = wish("nan", 1)
    nan["structure"]["coords"]["lon"]["values"][3] = None
    many = wish("many", 6000, (2, 2))
    import zlib

    bomb, right = zlib.compress(bytes(60 * 2**20), 9), "0" * 64
    attempts = [
        ana.ask("POST", "/uploads", json=huge), ana.ask("POST", "/uploads", json=nan), ana.ask("POST", "/uploads", json=many),
        ana.ask("POST", "/uploads", data=b'{"name":' + b'{"a":' * 10_000),
        ana.ask("POST", "/uploads", data=b"[" * 100_000), ana.ask("POST", "/uploads", data=b"NaN"),
        ana.ask("POST", "/uploads", json={**wish("x", 1), "license": {"$ref": "/etc/passwd"}}),
        ana.ask("PUT", f"{upload}/steps/0/chl/0?sha256={right}", data=bomb),
        ana.ask("PUT", f"{upload}/steps/0/chl/0?sha256={right}", data=zlib.compress(fields(1).tobytes())),
        ana.ask("PUT", f"{upload}/steps/0/chl/0?sha256=../x", data=b"x"),
        ana.ask("PUT", f"{upload}/steps/0/..%2F..%2Fetc/0?sha256={right}", data=b"x"),
        ana.ask("PUT", f"{upload}/steps/1/chl/0?sha256={right}", data=b"x"),
        ana.ask("PUT", f"{upload}/steps/0/chl/99999?sha256={right}", data=b"x"),
        ana.ask("PUT", f"{upload}/steps/99999999999/chl/0?sha256={right}", data=b"x"),
        ana.ask("PUT", f"{upload}/steps/0/chl/0?sha256={right}", data=bytes(3 * 2**20)),
        ana.ask("POST", f"{upload}/steps/0"), ana.ask("POST", f"{upload}/finish"),
        ana.ask("GET", "/uploads/..%2F..%2Fana--my-lake.json"), ana.ask("DELETE", "/cubes/..%2F..%2Fmsi-ndvi?now=1"),
        ana.ask("PATCH", "/cubes/my-lake", json={"expires_days": "1e9"}), ana.ask("GET", "/nothing"),
        Publisher(running.base, "petra").ask("GET", upload),
        Publisher(running.base, "petra").ask("POST", f"{upload}/steps/0"),
        Publisher(running.base, "petra").ask("DELETE", upload),
    ]  # fmt: skip
    for number, answer in enumerate(attempts):
        assert 400 <= answer.status_code < 500, (number, answer.text)
        assert {"code", "message", "hint"} <= answer.json().keys(), (number, answer.text)
        assert "Traceback" not in answer.text
    assert ana.ask("POST", "/uploads", data=bytes(5 * 2**20)).status_code == 413
    assert ana.ask("DELETE", upload).ok
    print(f"\n{len(attempts) + 1} hostile requests")


def test_the_quota_holds(running, ana):
    values = np.random.default_rng(1).random((12, 900, 900)).astype("<f4")
    begun = ana.begin(wish("large", 12, (900, 900)))
    with pytest.raises(AssertionError, match="over_quota"):
        ana.steps(begun, values)
    assert ana.ask("GET", f"/uploads/{begun['upload']}").status_code == 404
    assert not list((running.folder / "cubes/published/uploads").iterdir())
    assert ana.begin(wish("one", 1))
    assert ana.begin(wish("two", 1))
    third = ana.ask("POST", "/uploads", json=wish("three", 1))
    assert (third.status_code, third.json()["code"]) == (429, "too_many_uploads")


def test_texts_that_no_file_could_hold_are_said(ana):
    for place in ("attrs", "title"):
        asked = json.dumps(wish("half"))
        half = '"\\ud800"'
        if place == "attrs":
            asked = asked.replace('"long_name": "Chlorophyll"', f'"long_name": {half}')
        else:
            asked = asked[:-1] + f', "title": {half}}}'
        answer = ana.ask(
            "POST", "/uploads", data=asked.encode(), headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_input"), answer.text
        assert ("long_name" if place == "attrs" else "title") in answer.json()["message"]


def test_what_waits_counts_in_the_quota(running):
    """Parts are not a step yet, and fill the disk as well."""
    kim = Publisher(running.base, "kim")
    values = np.random.default_rng(1).random((1, 2600, 2600)).astype("<f4")
    begun = kim.begin(wish("waits", 1, (2600, 2600)))
    with pytest.raises(AssertionError, match="over_quota"):
        kim.steps(begun, values)
    assert not (running.folder / "cubes/published/uploads" / begun["upload"]).exists()
