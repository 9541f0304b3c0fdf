"""The few calls of Keycloak's admin API that provisioning needs, signed in as its service account."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import httpx

from cubehub.keycloak.errors import ProvisionError

if TYPE_CHECKING:
    from types import TracebackType

_RENEW_AFTER_S = 30
"""Tokens of the master realm live 60 s."""


class AdminApi:
    """Keycloak's admin API for one realm, as a service account of the master realm.

    Parameters
    ----------
    keycloak_url
        Address of Keycloak.
    client_id, client_secret
        The service account; Keycloak made it at its first start.
    realm
        Realm that relative paths are below.
    """

    def __init__(self, keycloak_url: str, client_id: str, client_secret: str, realm: str) -> None:
        # trust_env would send secrets for loopback through a proxy that the machine has set
        self._http = httpx.Client(base_url=keycloak_url.rstrip("/"), timeout=60, trust_env=False)
        self._login = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }
        self._realm = realm
        self._token = ""
        self._token_since = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def realm_exists(self) -> bool:
        """Whether the realm is there."""
        return (
            self._send("GET", f"/admin/realms/{self._realm}", accept=(404,)).status_code
            != httpx.codes.NOT_FOUND
        )

    def create_realm(self, realm: dict[str, Any]) -> None:
        """Make the realm with everything the description holds, in one transaction."""
        self._send("POST", "/admin/realms", json=realm)

    def get(self, path: str, **query: str | int | bool) -> Any:
        """Read something below the realm."""
        return self._send("GET", self._below(path), params=query).json()

    def put(self, path: str, content: Any) -> None:
        """Replace something below the realm."""
        self._send("PUT", self._below(path), json=content)

    def post(self, path: str, content: Any) -> Any:
        """Make something below the realm; gives the answer's content if it has one."""
        answer = self._send("POST", self._below(path), json=content)
        return answer.json() if answer.content else None

    def delete(self, path: str) -> None:
        """Remove something below the realm."""
        self._send("DELETE", self._below(path))

    def client(self, client_id: str) -> dict[str, Any] | None:
        """Find a client by its name."""
        found: list[dict[str, Any]] = self.get("clients", clientId=client_id)
        return found[0] if found else None

    def group(self, path: str) -> dict[str, Any]:
        """Find a group by its full path."""
        found: dict[str, Any] = self.get("group-by-path/" + path.lstrip("/"))
        return found

    def _below(self, path: str) -> str:
        return f"/admin/realms/{self._realm}/{path}"

    def _send(self, method: str, url: str, *, accept: tuple[int, ...] = (), **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(
                method, url, headers={"Authorization": f"Bearer {self._access()}"}, **more
            )
        except httpx.HTTPError as error:
            raise ProvisionError(
                f"Keycloak did not answer at {self._http.base_url}: {error}",
                "See its log (`cubehub logs keycloak`), then start again; repeating is safe.",
            ) from error
        if answer.is_error and answer.status_code not in accept:
            raise ProvisionError(
                f"Keycloak refused {method} {url} ({answer.status_code}): {_reason(answer)}",
                "See its log (`cubehub logs keycloak`), then start again; repeating is safe.",
            )
        return answer

    def _access(self) -> str:
        if time.monotonic() - self._token_since > _RENEW_AFTER_S:
            answer = self._http.post("/realms/master/protocol/openid-connect/token", data=self._login)
            if answer.is_error:
                raise ProvisionError(
                    f"Keycloak does not accept CubeHub's own service account ({answer.status_code}): {_reason(answer)}",
                    "Its secret in the data folder and Keycloak's database belong to different starts. "
                    "Restore both from one backup, or start with an empty data folder.",
                )
            self._token = answer.json()["access_token"]
            self._token_since = time.monotonic()
        return self._token


def _reason(answer: httpx.Response) -> str:
    try:
        content = answer.json()
    except ValueError:
        return answer.reason_phrase
    if isinstance(content, dict):
        for key in ("errorMessage", "error_description", "error"):
            if content.get(key):
                return str(content[key])
    return answer.reason_phrase
