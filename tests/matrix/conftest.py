"""The people of the matrix: made in Keycloak, logged in while they were Premium, then changed behind the Hub's back."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.keycloak.admin import AdminApi
from cubehub.keycloak.server import BOOTSTRAP_CLIENT, BOOTSTRAP_SECRET
from cubehub_tests.matrix import FAULTS, GROUPS, Case, cases
from cubehub_tests.servers import Account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_tests.platform import Whole

NAMESAKE = "cubehub/premium"


@dataclass
class Stage:
    """A platform on which the people of the matrix exist."""

    whole: Whole
    api: AdminApi
    admin: Account
    people: dict[str, Account] = field(default_factory=dict)
    outcomes: dict[Case, int | bool] = field(default_factory=dict)
    """What came of each case, for the table: bytes, True for a cluster, 0 for a refusal."""
    _keycloak: str = "up"
    _undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def person(self, case: Case) -> str:
        """Name of the person of a case, who is made and brought into their state the first time."""
        name = case.person
        if name not in self.people:
            self._make(name, case)
        return name

    def _make(self, name: str, case: Case) -> None:
        password = secrets.token_urlsafe(12)
        with contextlib.suppress(
            StopIteration
        ):  # of a run that was cut off, on a platform that is used again
            self.api.delete(f"users/{self.user_id(name)}")
            self.admin.api.delete(f"/hub/api/users/{name}")
        self.api.post(
            "users",
            {
                "username": name, "enabled": True, "email": f"{name}@example.org", "emailVerified": True,
                "firstName": "M", "lastName": "X",
                "credentials": [{"type": "password", "value": password, "temporary": False}],
            },
        )  # fmt: skip
        id_ = self.user_id(name)
        if case.state == "never seen":
            self._join(id_, case.group)
            self.admin.api.post(f"/hub/api/users/{name}").raise_for_status()
            self.people[name] = self.admin
            return
        self._join(id_, "premium")
        self.whole.accounts[name] = password
        self.people[name] = Account.login(self.whole, name)
        self._leave(id_, "premium")
        self._join(id_, case.group)
        if case.state == "disabled":
            self.api.put(f"users/{id_}", self.api.get(f"users/{id_}") | {"enabled": False})
        if case.state == "deleted":
            self.api.delete(f"users/{id_}")

    def user_id(self, name: str) -> str:
        """Keycloak's id of an account."""
        return next(str(one["id"]) for one in self.api.get("users", username=name, exact=True))

    def group_id(self, path: str) -> str:
        """Keycloak's id of a group; the namesake is made when it is wanted first."""
        if path != "namesake":
            return str(self.api.group(path)["id"])
        found = [one for one in self.api.get("groups", max=100) if one["name"] == NAMESAKE]
        if not found:
            self.api.post("groups", {"name": NAMESAKE})
            return self.group_id(path)
        return str(found[0]["id"])

    def _join(self, user: str, group: str) -> None:
        for path in GROUPS[group]:
            self.api.put(f"users/{user}/groups/{self.group_id(path)}", {})

    def _leave(self, user: str, group: str) -> None:
        for path in GROUPS[group]:
            self.api.delete(f"users/{user}/groups/{self.group_id(path)}")

    def bring_keycloak_to(self, state: str) -> None:
        """Put Keycloak, as the Hub's service account meets it, into a state; nothing happens if it is in it."""
        if state == self._keycloak:
            return
        self._undo.close()
        self._keycloak = state
        relay = self.whole.relay
        assert relay is not None
        if state in ("down", "hangs", "fails"):
            mode: Any = {"down": "down", "hangs": "hang", "fails": "error"}[state]
            self._undo.enter_context(relay.broken(mode))
        elif state == "locked out":
            self._undo.enter_context(self._client_off("cubehub-directory"))
        elif state == "new keys":
            self._new_keys()

    @contextlib.contextmanager
    def _client_off(self, client_id: str) -> Iterator[None]:
        client = self.api.client(client_id)
        assert client is not None
        self.api.put(f"clients/{client['id']}", client | {"enabled": False})
        try:
            yield
        finally:
            self.api.put(f"clients/{client['id']}", client | {"enabled": True})

    def _new_keys(self) -> None:
        """Replace the realm's signing key; tokens signed with the old one are worth nothing."""
        kind = "org.keycloak.keys.KeyProvider"
        realm = self.api.get("")
        for old in self.api.get("components", type=kind):
            if old["providerId"] == "rsa-generated":
                self.api.delete(f"components/{old['id']}")
        self.api.post(
            "components",
            {
                "name": f"rsa-{secrets.token_hex(4)}", "providerId": "rsa-generated", "providerType": kind,
                "parentId": realm["id"], "config": {"priority": ["200"], "algorithm": ["RS256"]},
            },
        )  # fmt: skip

    def close(self) -> None:
        """Undo what would be in others' way."""
        self._undo.close()
        for name, person in self.people.items():
            if person is not self.admin:
                person.close()
            with contextlib.suppress(StopIteration):
                self.api.delete(f"users/{self.user_id(name)}")
            self.admin.api.delete(f"/hub/api/users/{name}")
        with contextlib.suppress(Exception):
            self.api.delete(f"groups/{self.group_id('namesake')}")


@pytest.fixture(scope="module")
def stage(whole: Whole) -> Iterator[Stage]:
    """Give the stage; afterwards the people are gone and Keycloak is as it was."""
    with AdminApi(
        whole.keycloak_url, BOOTSTRAP_CLIENT, whole.secrets.get(BOOTSTRAP_SECRET), "cubehub"
    ) as api:
        admin = Account.login(whole, "adam")
        found = Stage(whole, api, admin)
        try:
            yield found
        finally:
            found.close()
            admin.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each cell."""
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", cases(), ids=str)


__all__ = ["FAULTS", "Stage"]
