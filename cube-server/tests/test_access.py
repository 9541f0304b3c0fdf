"""Who may read what, tried on every route of the server's own table, and what those who may not can tell."""

import functools
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections import Counter
from itertools import product
from string import ascii_letters, digits
from urllib.parse import urlsplit

import hypothesis
import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import strategies

from support import CUBES_YAML, PROTECTED, running_issuer, start
from xcube_cubehub.routes import OBJECT_ROUTE, OWN_ROUTES, ROUTES, Guard
from xcube_cubehub.tokens import ImageCookie

pytestmark = pytest.mark.slow

PUBLIC, UNKNOWN = "public-a", "secret-x"
OWNER = "0e0c0d53-8d0f-4a55-a3a0-5f3a1c2b7d10"
RULES = {
    PUBLIC: {"access": "public"},
    "secret-a": {"access": "account"},
    "secret-g": {"access": ["/cubehub/premium"]},
    "secret-o": {"access": "owner", "owner": OWNER},
    "secret-n": {"access": "owner", "owner": "olga"},
    "secret-b": {"access": ["/cubehub/premium"], "owner": OWNER},
}
"""All ids have one length, so that answers that name one can be compared to the byte."""
SECRETS = [name for name in RULES if name != PUBLIC]
MARK = "hidden lake"
POINT = json.dumps({"type": "Point", "coordinates": [27.45, 58.8]}).encode()
METHODS = (
    ("GET", None),
    ("HEAD", None),
    ("POST", POINT),
    ("PUT", b"{}"),
    ("DELETE", None),
    ("OPTIONS", None),
)
TIME = "2024-07-02T00:00:00Z"
FILL = {
    "varName": "conc_chl", "dimName": "time", "placeGroupId": "estonian-lakes", "varExpr": "conc_chl%2B1",
    "z": "5", "y": "18", "x": "36", "tmsId": "WorldWebMercatorQuad", "operationId": "spatial_subset", "jobId": "0",
    "contribPoint": "panels", "contribIndex": "0", "*path": "config.json",
}  # fmt: skip
"""What stands in an address besides the cube. A route with another part has to be thought about here."""
QUERY = {
    "/statistics/{datasetId}/{varName}": f"?lon=27.45&lat=58.8&time={TIME}",
    "/volumes/{datasetId}/{varName}": "?bbox=27,58.5,27.2,58.7",
    "/ogc/collections/{collectionId}/coverage": f"?f=netcdf&bbox=27,58.5,27.2,58.7&datetime={TIME}",
}
"""What an answer needs in addition."""
UNANSWERED = {
    "/ogc/collections/{collectionId}/coverage/rangeset",  # xcube has not made it yet
    "/ogc/collections/{collectionId}/items/{featureId}",  # cubes are items of one collection, tried beside
}
"""Routes that answer nobody."""


@pytest.fixture(scope="module")
def issuer():
    with running_issuer() as made:
        yield made


@pytest.fixture(scope="module")
def server(built, issuer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("access")
    content = yaml.safe_load(CUBES_YAML.read_text())
    (lake,) = (cube for cube in content["cubes"] if cube["id"] == PROTECTED)
    content["cubes"] = []
    for name, rule in RULES.items():
        shutil.copytree(built / PROTECTED, folder / "cubes" / name, copy_function=os.link)
        title = "open lake" if name == PUBLIC else f"{MARK} {name}"
        content["cubes"].append(
            {**lake, "id": name, "title": title, "description": title, "attribution": title, **rule}
        )
    content["default"] = PUBLIC
    shutil.copytree(CUBES_YAML.parent / "places", folder / "places")
    (folder / "cubes.yaml").write_text(yaml.safe_dump(content))
    running = start(folder, folder / "cubes", issuer.url, folder / "cubes.yaml")
    yield running
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0, running.log


LISTING = """
import json, sys
from pathlib import Path
from xcube_cubehub.behind import CubeServer
from xcube_cubehub.config import read_settings

made = CubeServer(read_settings(Path(sys.argv[1])), bytes(32))
rules = made.server._framework.application.default_router.rules
rules = [rule for outer in rules for rule in getattr(outer.target, "rules", [outer])]
print(json.dumps([
    (rule.matcher.regex.pattern.removesuffix("$"), getattr(rule.target_kwargs.get("api_route"), "path", None))
    for rule in rules if hasattr(rule.matcher, "regex")
]))
"""


@pytest.fixture(scope="module")
def table(server):
    """The server's own table of routes: pattern below the prefix, and the template of those that are xcube's."""
    command = [sys.executable, "-c", LISTING, str(server.folder / "cubes.json")]
    listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    prefix = urlsplit(server.base).path
    found = [(pattern, template) for pattern, template in json.loads(listed) if pattern.startswith(prefix)]
    assert len(found) == len(json.loads(listed)), "nothing is served outside of the prefix"
    return [(pattern.removeprefix(prefix), template) for pattern, template in found]


def rule_of(pattern, template):
    return OWN_ROUTES.get(pattern) if template is None else ROUTES.get(template)


@functools.cache
def example(pattern):
    """An address that fits a pattern."""
    fitting = strategies.from_regex(pattern, fullmatch=True, alphabet=ascii_letters + digits + "/._-")
    once = hypothesis.settings(max_examples=10, phases=[hypothesis.Phase.generate], database=None)
    return hypothesis.find(fitting, lambda _: True, settings=once)


def addresses(pattern, template, cube):
    """Addresses of a route, for a cube where it names one."""
    if template is not None:
        yield from addresses_of_xcube(template, cube)
        return
    named = re.sub(r"\(\?P<cube>[^)]*\)", cube, pattern)
    yield example(pattern) if named == pattern else named.replace("\\", "")
    if pattern.endswith("(.*)"):
        yield pattern.removesuffix("(.*)") + cube


def addresses_of_xcube(template, cube):
    if template == OBJECT_ROUTE:
        keys = ("zarr.json", "conc_chl/zarr.json", "conc_chl/c/0/0/0", "nothing")
        yield from (f"/s3/datasets/{name}.zarr/{key}" for name in (cube, f"{cube}:series") for key in keys)
        yield f"/s3/pyramids/{cube}.levels/0.zarr/zarr.json"
    elif template == "/s3/{bucket}":
        for bucket, more in product(
            ("datasets", "pyramids"), ("", f"?prefix={cube}", "?list-type=2&delimiter=/")
        ):
            yield f"/s3/{bucket}{more}"
    elif template == "/wmts/kvp":
        tile = "tilematrixset=WorldWebMercatorQuad&tilematrix=5&tilerow=18&tilecol=36&format=image/png"
        for name in ("layer", "LAYER"):
            yield f"/wmts/kvp?service=WMTS&request=GetTile&version=1.0.0&{name}={cube}.conc_chl&{tile}"
        yield "/wmts/kvp?service=WMTS&request=GetCapabilities"
    else:
        for name in (cube, f"{cube}:series"):
            path = template.replace("/places/{placeGroupId}/{datasetId}", "/places/all/{datasetId}")
            for part, value in {**FILL, "datasetId": name, "collectionId": name, "featureId": name}.items():
                path = path.replace(f"{{{part}}}", value)
            assert "{" not in path, f"{template}: say in FILL what stands there"
            yield path + QUERY.get(template, "")
        if "{collectionId}" in template:
            yield template.replace("{collectionId}", "datacubes").replace("{featureId}", cube)


class Client:
    """Asks without tidying anything, over one connection; counts."""

    def __init__(self, server):
        parts = urlsplit(server.base)
        self.prefix, self.asked = parts.path, 0
        self.connection = http.client.HTTPConnection(parts.netloc, timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, method, path, headers=None, body=None):
        self.asked += 1
        self.connection.request(method, self.prefix + path, body, headers or {})
        answer = self.connection.getresponse()
        told = [(name, value) for name, value in answer.getheaders() if name != "Date"]
        return answer.status, told, answer.read()


@pytest.fixture
def client(server):
    with Client(server) as made:
        yield made


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def cookie(value):
    return {"Cookie": f"{ImageCookie.NAME}={value}"}


def session_cookie(client, token):
    _, headers, _ = client.ask("POST", "/session", bearer(token))
    return cookie(dict(headers)["Set-Cookie"].partition("=")[2].partition(";")[0])


def strangers(client, issuer):
    """Everybody who must not read something: name, headers, and which cubes are closed to them."""
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good = {"sub": OWNER, "preferred_username": "olga", "groups": ["/cubehub/premium"]}
    claims = jwt.decode(issuer.token(**good), options={"verify_signature": False})
    certificate = issuer.documents()["/realms/cubehub/certs"]["keys"][0]["n"]
    payload = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    forged = {
        "expired": issuer.token(**good, exp=time.time() - 60),
        "wrong audience": issuer.token(**good, aud=["account", "cubehub-hub"]),
        "wrong issuer": issuer.token(**good, iss="http://127.0.0.1/realms/cubehub"),
        "revoked key, gone": issuer.token(**good, key=stranger, kid="gone"),
        "revoked key, id taken again": issuer.token(**good, key=stranger),
        "ID token": issuer.token(**good, typ="ID"),
        "refresh token": issuer.token(**good, typ="Refresh"),
        "alg none": jwt.encode(claims, None, algorithm="none", headers={"kid": issuer.kid}),
        "alg NoNe": "eyJhbGciOiJOb05lIn0." + payload + ".",
        "alg HS256 with the public key": jwt.encode(claims, certificate, "HS256", {"kid": issuer.kid}),
        "no token at all": "rubbish",
    }
    for name, token in forged.items():
        yield name, bearer(token), SECRETS
        yield f"{name}, as a cookie of one's own", cookie(ImageCookie(b"x" * 32).seal(token)), SECRETS
    yield "nobody", {}, SECRETS
    yield "good token as cookie", cookie(issuer.token(**good)), SECRETS
    yield "good token in a forged cookie", cookie(ImageCookie(b"x" * 32).seal(issuer.token(**good))), SECRETS
    real = session_cookie(client, issuer.token(**good))
    yield "cookie with a bit changed", {"Cookie": real["Cookie"][:-6] + "AAAAA="}, SECRETS
    issuer.suspended |= {"suspended", "suspended-too"}
    gone = {**good, "sub": "suspended"}
    yield "suspended", bearer(issuer.token(**gone)), SECRETS
    gone = {**good, "sub": "suspended-too"}
    yield "suspended, by cookie", session_cookie(client, issuer.token(**gone)), SECRETS
    yield (
        "without the permission",
        bearer(issuer.token(**good, permissions=["read:dataset:public-*"])),
        SECRETS,
    )
    standard = {"sub": "ana-s-id", "preferred_username": "ana", "groups": ["/cubehub/standard"]}
    closed = ["secret-g", "secret-o", "secret-n", "secret-b"]
    yield "wrong group, not the owner", bearer(issuer.token(**standard)), closed
    yield "wrong group, by cookie", session_cookie(client, issuer.token(**standard)), closed
    yield "named as the owner's id", bearer(issuer.token(**{**standard, "preferred_username": OWNER})), closed
    yield (
        "a group below",
        bearer(issuer.token(**{**standard, "groups": ["/cubehub/premium/x", "premium"]})),
        closed,
    )
    yield (
        "right group, not the owner",
        bearer(issuer.token(**{**standard, "groups": ["/cubehub/premium"]})),
        ["secret-o", "secret-n"],
    )
    yield "owner, wrong group", bearer(issuer.token(**{**standard, "sub": OWNER})), ["secret-g", "secret-n"]
    issuer.now["left"] = {"groups": [], "preferred_username": "other"}
    left = bearer(issuer.token(**{**good, "sub": "left"}))
    yield "left the group and lost the name since", left, closed


def test_every_route_has_a_rule(table):
    assert len(table) > 60
    assert [pattern for pattern, template in table if rule_of(pattern, template) is None] == []
    assert rule_of("/new", None) is rule_of("/new", "/new/{datasetId}") is None
    named = [
        template
        for _, template in table
        if template and ("{datasetId}" in template or "{collectionId}" in template)
    ]
    assert len(named) > 20
    assert {template for template in named if ROUTES[template] is not Guard.DATASET} == set()


def blur(answer):
    """An answer without the id, and without the hash of a body that has it."""
    status, headers, body = answer
    of_body = ("Etag", f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"')
    for name in (*SECRETS, UNKNOWN):
        body = body.replace(name.encode(), b"secret-?")
    return status, [("Etag", "of the body") if header == of_body else header for header in headers], body


def told(answer, path, closed):
    """What an answer tells of closed cubes beyond what the request said."""
    status, headers, body = answer
    if MARK.encode() in body and any(f"{MARK} {one}".encode() in body for one in closed):
        yield f"tells a title: {status} {headers}"
    if status < 400 and any(one.encode() in body for one in closed if one not in path):
        yield f"names a cube: {status} {headers}"


def test_no_route_leaks_and_forbidden_looks_like_unknown(client, issuer, table):
    answered, leaks = Counter(), []
    for name, headers, closed in strangers(client, issuer):
        ask = functools.cache(functools.partial(client.ask, headers=headers))
        for (pattern, template), (method, body), cube in product(table, METHODS, closed):
            unknown = addresses(pattern, template, UNKNOWN)
            for path, elsewhere in zip(addresses(pattern, template, cube), unknown, strict=True):
                answer, other = ask(method, path, body=body), ask(method, elsewhere, body=body)
                answered[answer[0]] += 1
                if blur(answer) != blur(other):
                    leaks.append(f"{name}: {method} {path} differs from {elsewhere}: {answer} {other}"[:900])
                leaks += [f"{name}: {method} {path} {what}" for what in told(answer, path, closed)]
                named = rule_of(pattern, template) is Guard.DATASET and "datacubes" not in path
                if named and answer[0] not in (401, 404):
                    leaks.append(f"{name}: {method} {path} is answered: {answer[:2]}")
    print(
        f"{client.asked} requests on {len(table)} routes, {answered.total()} comparisons, {len(leaks)} leaks"
    )
    print("statuses:", dict(sorted(answered.items())))
    assert leaks == []
    assert client.asked > 10_000


def test_those_who_may_read_on_every_route_and_see_nothing_else(client, issuer, table):
    """What the test above compares is worth something: with the right sign-in these addresses are answered."""
    opened, closed = Counter(), []
    people = {
        "secret-a": issuer.token(sub="p1"),
        "secret-g": issuer.token(sub="p2", groups=["/cubehub/premium"]),
        "secret-o": issuer.token(sub=OWNER, groups=[]),
        "secret-n": issuer.token(sub="p3", preferred_username="olga", groups=[]),
        "secret-b": issuer.token(sub=OWNER, groups=[]),
    }
    for (cube, token), (pattern, template) in product(people.items(), table):
        if template not in {
            *(route for route, guard in ROUTES.items() if guard is Guard.DATASET),
            OBJECT_ROUTE,
        }:
            continue
        for path in addresses(pattern, template, cube):
            if ":series" in path or "nothing" in path or (template in UNANSWERED and "datacubes" not in path):
                continue
            method, body = ("POST", POINT) if template.startswith("/timeseries") else ("GET", None)
            status, headers, _ = client.ask(method, path, bearer(token), body)
            opened[status] += 1
            if status == 200:
                assert dict(headers)["Cache-Control"] in {"private, no-store", "private, no-cache"}, path
            elif "datacubes" not in path:
                closed.append((path, status))
    print(f"{client.asked} requests by those who may: {dict(opened)}")
    assert closed == []
    for cube, token in people.items():
        listed = client.ask("GET", "/datasets", bearer(token))[2].decode()
        assert cube in listed
    assert "secret-g" not in client.ask("GET", "/datasets", bearer(people["secret-a"]))[2].decode()
    for cube, token in people.items():
        assert client.ask("GET", f"/ogc/collections/datacubes/items/{cube}", bearer(token))[0] == 200


def test_the_number_of_hidden_cubes_does_not_show(client):
    assert json.loads(client.ask("GET", "/health")[2]) == {"status": "ok"}
    assert [one["sortValue"] for one in json.loads(client.ask("GET", "/datasets")[2])["datasets"]] == [1]


TILE = "/tiles/{}/conc_chl/5/18/36?crs=EPSG:3857"


def test_without_the_realm_public_cubes_stay_and_protected_ones_say_why(client, issuer):
    token = issuer.token(sub="never-seen")
    issuer.down = True
    try:
        for path in (TILE, "/s3/datasets/{}.zarr/conc_chl/c/0/0/0", "/datasets/{}", "/ogc/collections/{}"):
            assert client.ask("GET", path.format(PUBLIC), bearer(token))[0] == 200
            for cube in ("secret-a", UNKNOWN):
                status, _, body = client.ask("GET", path.format(cube), bearer(token))
                # not a 404: a reader of Zarr takes that for a chunk without values
                assert status == 503
                assert json.loads(body)["error"]["message"] == "the sign-in service cannot be reached"
        listed = json.loads(client.ask("GET", "/datasets", bearer(token))[2])["datasets"]
        assert [one["id"] for one in listed] == [PUBLIC]
    finally:
        issuer.down = False


def wait_for(refused, patience_s=60):
    """How long it takes until all refuse."""
    began, took = time.monotonic(), {}
    while len(took) < len(refused):
        for name, ask in refused.items():
            if name not in took and ask() in (401, 404):
                took[name] = time.monotonic() - began
        assert time.monotonic() - began < patience_s, f"still open: {set(refused) - set(took)}"
        time.sleep(0.5)
    return took


def test_suspension_a_left_group_and_a_revoked_key_arrive_within_a_minute(client, issuer):
    tile = TILE.format("secret-g")
    member = {"groups": ["/cubehub/premium"]}
    tokens = {name: issuer.token(sub=name, **member) for name in ("to-suspend", "to-leave", "key")}
    ways = {(name, "token"): bearer(token) for name, token in tokens.items()}
    ways |= {(name, "cookie"): session_cookie(client, token) for name, token in tokens.items()}
    asks = {way: lambda h=headers: client.ask("GET", tile, h)[0] for way, headers in ways.items()}
    assert {way: ask() for way, ask in asks.items()} == dict.fromkeys(ways, 200)
    issuer.suspended.add("to-suspend")
    issuer.now["to-leave"] = {"groups": ["/cubehub/standard"]}
    took = wait_for({way: ask for way, ask in asks.items() if way[0] != "key"})
    assert asks["key", "token"]() == asks["key", "cookie"]() == 200
    old = issuer.key, issuer.kid
    issuer.key, issuer.kid = rsa.generate_private_key(public_exponent=65537, key_size=2048), "next"
    try:
        took |= wait_for({way: ask for way, ask in asks.items() if way[0] == "key"})
        assert client.ask("GET", tile, bearer(issuer.token(sub="new", **member)))[0] == 200
    finally:
        issuer.key, issuer.kid = old
    print({" by ".join(way): round(s, 1) for way, s in took.items()})
    for headers in (ways["to-suspend", "token"], ways["to-suspend", "cookie"], {}):
        if headers is not ways["to-suspend", "token"]:
            assert client.ask("GET", TILE.format(PUBLIC), headers)[0] == 200


def test_tokens_and_cookies_stay_out_of_the_log(server):
    assert "Traceback" not in server.log
    assert "eyJ" not in server.log
