"""Every way in which somebody may try to get a server or a cluster, and what came of it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub_tests.people import page_text

if TYPE_CHECKING:
    import httpx

    from cubehub_tests.servers import Account

FORGED = {"profile": "premium", "memory": "64G", "mem_limit": 2**40, "memory_bytes": 2**40, "groups": ["/cubehub/premium"], "cmd": ["sh"], "kubespawner_override": {"mem_limit": "64G"}}  # fmt: skip
_CODE = re.compile(r'data-code="([a-z_]+)"')
_CLUSTERS = "/services/dask-gateway/api/v1/clusters/"
_PATIENCE_S = 90


@dataclass(frozen=True)
class Outcome:
    """What came of a try."""

    granted_bytes: int = 0
    """RAM that all of the person's servers hold by the real limits of the machine, or 0."""
    cluster: bool = False
    """A Dask cluster started."""
    code: str = ""
    """Why not."""
    text: str = ""
    """What the person read."""

    def __str__(self) -> str:
        if self.cluster:
            return "cluster"
        return f"{self.granted_bytes >> 20} MiB" if self.granted_bytes else self.code


class Ways:
    """Tries ways in for one person, and clears away after each.

    Parameters
    ----------
    person
        Whose tokens and cookies are used; an administrator's stand-in for somebody who never logged in.
    admin
        An administrator.
    name
        User name of the person.
    """

    def __init__(self, person: Account, admin: Account, name: str) -> None:
        self.person, self.admin, self.name = person, admin, name

    def attempt(self, way: str) -> Outcome:
        """Try one of `matrix.WAYS`."""
        try:
            refusal = {
                "form": lambda: self._form({}),
                "form forged": lambda: self._form(
                    {"profile": "premium", "mem_limit": "64G", "memory": "64G"}
                ),
                "link": lambda: self._page(
                    f"/hub/spawn/{self.name}?opt-profile=premium&opt-mem_limit=64G&opt-memory=64G"
                ),
                "token": lambda: self._rest(self.person, "server", None),
                "token forged": lambda: self._rest(self.person, "server", FORGED),
                "named server": lambda: self._rest(self.person, "servers/extra", None),
                "second server": self._second,
                "admin": lambda: self._rest(self.admin, "server", None),
                "admin, named server": lambda: self._rest(self.admin, "servers/extra", FORGED),
                "group written": self._group_written,
                "dask": self._dask,
            }[way]()
            if refusal is None and way == "dask":
                return Outcome(cluster=True)
            held = self._held()
            if refusal is None:
                return Outcome(granted_bytes=sum(held.values()))
            return Outcome(
                sum(held.values()) if way != "second server" else 0, code=refusal[0], text=refusal[1]
            )
        finally:
            self._clear()

    # ---- ways; each gives None for success, else a code and the text --------------------------------------------

    def _form(self, fields: dict[str, str]) -> tuple[str, str] | None:
        http = self.person.visitor.http
        http.get("/hub/home")
        xsrf = next((c.value for c in http.cookies.jar if c.name == "_xsrf" and c.path == "/hub/"), "")
        answer = http.post(f"/hub/spawn/{self.name}", params={"_xsrf": xsrf or ""}, data=fields)
        if answer.status_code == HTTPStatus.FORBIDDEN and "XSRF" in answer.text:
            # the log-in was ended between page and form, and its key with it; a person loads the page again
            answer = http.get(f"/hub/spawn/{self.name}")
        return self._after_page(answer)

    def _page(self, path: str) -> tuple[str, str] | None:
        return self._after_page(self.person.visitor.http.get(path))

    def _after_page(self, answer: httpx.Response) -> tuple[str, str] | None:
        """Follow the pages to their end: a refusal, the log-in, or a server that is ready."""
        ends = time.monotonic() + _PATIENCE_S
        while time.monotonic() < ends:
            if found := _CODE.search(answer.text):
                return found[1], page_text(answer.text)
            if "/protocol/openid-connect/" in str(answer.url) or "/hub/login" in str(answer.url):
                return "not_logged_in", page_text(answer.text)
            if self._ready():
                return None
            if answer.is_error:
                return f"status_{answer.status_code}", page_text(answer.text)
            time.sleep(0.3)
            answer = self.person.visitor.http.get(f"/hub/spawn-pending/{self.name}")
        raise AssertionError(f"neither a server nor a reason: {answer.url}\n{page_text(answer.text)[:2000]}")

    def _rest(self, asker: Account, path: str, options: dict[str, Any] | None) -> tuple[str, str] | None:
        answer = asker.api.post(f"/hub/api/users/{self.name}/{path}", json=options or {}, timeout=_PATIENCE_S)
        if answer.is_error:
            body = answer.json()
            return _code_of(answer, body), str(body.get("message", ""))
        ends = time.monotonic() + _PATIENCE_S
        while not self._ready():
            assert time.monotonic() < ends, f"the server of {self.name} did not come up: {answer.text}"
            if not self._servers():
                progress = self.admin.api.get(f"/hub/api/users/{self.name}/{path}/progress").text
                return _code_of(answer, {"message": progress}), progress
            time.sleep(0.3)
        return None

    def _second(self) -> tuple[str, str] | None:
        first = self._rest(self.person, "server", None)
        return first or self._rest(self.person, "servers/extra", {"profile": ""})

    def _group_written(self) -> tuple[str, str] | None:
        """Let an administrator put the person into a group of the Hub's own, then start by token."""
        written = self.admin.api.post(
            "/hub/api/groups/%2Fcubehub%2Fpremium/users", json={"users": [self.name]}
        )
        assert "kept in Keycloak" in written.text, (
            f"the Hub let somebody write a group: {written.status_code}"
        )
        return self._rest(self.person, "server", None)

    def _dask(self) -> tuple[str, str] | None:
        answer = self.person.api.post(
            _CLUSTERS, json={"cluster_options": {}}, headers=self._dask_header, timeout=_PATIENCE_S
        )
        if answer.is_success:
            return None
        try:
            text = str(answer.json()["error"])
        except (ValueError, KeyError):
            text = answer.text or answer.reason_phrase
        return f"dask_{answer.status_code}", text

    @property
    def _dask_header(self) -> dict[str, str]:
        """The token as Dask Gateway's client sends it."""
        token = self.person.api.headers["Authorization"].removeprefix("token ")
        return {"Authorization": f"jupyterhub {token}"}

    # ---- what is there ------------------------------------------------------------------------------------------

    def _servers(self) -> dict[str, Any]:
        found: dict[str, Any] = self.admin.api.get(f"/hub/api/users/{self.name}").json()["servers"]
        return found

    def _ready(self) -> bool:
        servers = self._servers()
        return bool(servers) and all(server["ready"] for server in servers.values())

    def _held(self) -> dict[str, int]:
        """Read the limit of each server where the machine keeps it, not where the Hub says it."""
        held = {}
        for name, server in self._servers().items():
            state = server["state"]
            folder = Path(state["handle"])
            for file in ("memory.limit_in_bytes", "memory.max", "limit"):
                if (folder / file).exists():
                    held[name] = int((folder / file).read_text())
            assert name in held, f"nothing holds the server {name!r} of {self.name}: {state}"
        return held

    def _clear(self) -> None:
        for name in self._servers():
            path = (
                f"/hub/api/users/{self.name}/servers/{name}" if name else f"/hub/api/users/{self.name}/server"
            )
            self.admin.api.request("DELETE", path, json={} if not name else {"remove": True})
        ends = time.monotonic() + _PATIENCE_S
        while self._servers():
            assert time.monotonic() < ends, f"a server of {self.name} did not stop"
            time.sleep(0.2)
        answer = self.person.api.get(_CLUSTERS, headers=self._dask_header)
        for cluster in answer.json() if answer.is_success else []:
            self.person.api.delete(f"{_CLUSTERS}{cluster}", headers=self._dask_header)


def _code_of(answer: httpx.Response, body: dict[str, Any]) -> str:
    """Find out which refusal a text is: over REST the Hub gives the text alone."""
    text = str(body.get("message", ""))
    for code, words in TEXTS.items():
        if words in text:
            return code
    return f"status_{answer.status_code}"


TEXTS = {
    "account_disabled": "is suspended",
    "no_profile": "no group that grants",
    "profile_not_granted": "is not one that your groups grant",
    "memory_in_use": "Your other servers already use",
    "unknown_account": "no account with your user name",
    "directory_unreachable": "service can't be reached",
    "directory_timeout": "took too long to answer",
    "directory_error": "answered with an error",
    "directory_denied": "does not accept the platform's own login",
    "not_logged_in": "Missing or invalid credentials",
}
"""Words of each refusal by its code."""
