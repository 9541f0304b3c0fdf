"""Publish from inside a person's server: in the viewer at once, for whom it is meant, and gone when it is taken back."""

import re
import time
from collections.abc import Iterator

import httpx
import pytest
from cubehub_tests.people import Visitor
from cubehub_tests.platform import REPOSITORY, Whole
from cubehub_tests.realm import in_group, realm, suspended, user_id
from cubehub_tests.servers import Account

pytestmark = pytest.mark.whole
BASE = "/services/cubes"
CUBE = "ana--my-lake"
ROUTES = (
    f"{BASE}/datasets/{{}}",
    f"{BASE}/tiles/{{}}/conc_chl/6/20/32",
    f"{BASE}/s3/pyramids/{{}}.levels/0.zarr/zarr.json",
    f"{BASE}/ogc/collections/datacubes/items/{{}}",
)


def documented() -> str:
    """Give the code of the section "Publish a cube"."""
    text = (REPOSITORY / "docs/how-to/analyst.md").read_text().split("## Publish a cube")[1]
    return "\n".join(re.findall(r"```python\n(.*?)```", text.split("\n## ")[0], re.DOTALL))


def statuses(whole: Whole, name: str, person: str | None) -> set[int]:
    """Ask for a cube by all routes, several times by connections of their own, so that each process in front is asked."""
    visitor = Visitor.arrive(whole)
    bearer = {"Authorization": f"Bearer {visitor.cubes_token(person)}"} if person else {}
    visitor.http.close()
    return {
        httpx.get(whole.url + route.format(name), headers=bearer, timeout=60, trust_env=False).status_code
        for route in ROUTES
        for _ in range(4)
    }


def test_what_the_manual_says_publishes_a_cube(whole: Whole, ana: Account) -> None:
    ana.start()
    with ana.kernel() as kernel:
        said = kernel.run(documented(), timeout_s=300)
        assert said.text.endswith(f"/viewer/?dataset={CUBE}&variable=conc_chl")
        assert statuses(whole, CUBE, "ana") == {200}
        for person in ("petra", None):
            assert statuses(whole, CUBE, person) == statuses(whole, "ana--nothing", person) == {404}

        # what is public is in the catalogue too, and leaves it again
        kernel.run('made = cubehub.publish(coarse, "my-lake", access="public")', timeout_s=300)
        assert statuses(whole, CUBE, None) == {200}
        item = f"/services/catalogue/collections/cubes/items/{CUBE}"
        until(lambda: ana.api.get(item).is_success, "a public cube is in the catalogue")
        refused = kernel.run(
            'cubehub.publish(coarse, "theirs", access=["/cubehub/premium"])', check=False, timeout_s=120
        )
        assert "you are not in the group" in refused.error
        listed = kernel.run(
            "import subprocess; print(subprocess.run(['cubehub', 'cubes', 'published'], capture_output=True, text=True).stdout)"
        )
        assert "my-lake" in listed.text
        assert "JUPYTERHUB_API_TOKEN" not in listed.text

        # the operator sees it, and may take it back
        assert CUBE in whole.run("cubes", "published", "--json").stdout
        kernel.run('assert not cubehub.unpublish("my-lake").live', timeout_s=120)
        assert statuses(whole, CUBE, None) == {404}
        until(lambda: ana.api.get(item).status_code == 404, "a cube that was taken back leaves the catalogue")
        whole.run("cubes", "unpublish", CUBE, "--now")
        assert kernel.run("print(cubehub.published())").text == "[]"


@pytest.fixture
def paula(whole: Whole) -> Iterator[Account]:
    """Give an analyst of this test's own: a suspension ends all sign-ins and tokens of a person."""
    name, password = "paula", "an-analyst-who-publishes"
    with realm(whole) as api:
        api.post(
            "users",
            {
                "username": name, "enabled": True, "email": "paula@example.org", "firstName": "Paula", "lastName": "Guest",
                "credentials": [{"type": "password", "value": password}],
            },
        )  # fmt: skip
        whole.accounts[name] = password
        with in_group(whole, name, "/cubehub/standard"):
            account = Account.login(whole, name)
            yield account
            account.close()
        api.delete(f"users/{user_id(api, name)}")
    del whole.accounts[name]


def test_a_token_that_is_over_and_a_suspended_person_publish_nothing(whole: Whole, paula: Account) -> None:
    cubes = f"{BASE}/publishing/cubes"
    assert paula.api.get(cubes).is_success
    made = paula.api.post("/hub/api/users/paula/tokens", json={"note": "short", "expires_in": 1}).json()
    short = {"Authorization": f"token {made['token']}"}
    until(
        lambda: paula.api.get("/hub/api/user", headers=short).status_code == 403,
        "the Hub ends a token in its time",
    )
    assert paula.api.get(cubes, headers=short).status_code == 401
    other = paula.api.post("/hub/api/users/paula/tokens", json={"note": "other"}).json()
    fresh = {"Authorization": f"token {other['token']}"}
    with suspended(whole, "paula"):
        assert paula.api.get(cubes, headers=fresh).status_code in {401, 403}
        # what was asked before counts for half a minute
        until(lambda: paula.api.get(cubes).status_code in {401, 403}, "a suspension holds within a minute")


def until(holds: object, what: str, patience_s: float = 60) -> None:
    """Wait for something."""
    ends = time.monotonic() + patience_s
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < ends, f"not within {patience_s:g} s: {what}"
        time.sleep(0.5)
