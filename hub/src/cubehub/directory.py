"""What Keycloak says about a person at the moment it is asked."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote, urlencode

import httpcore
from cubehub_spawner.entitlement import Account
from cubehub_spawner.errors import DirectoryUnavailableError, UnknownAccountError

from cubehub.keycloak.attributes import UNTIL, UNTIL_PROFILE, first_value, read_moment

if TYPE_CHECKING:
    from types import TracebackType

_log = logging.getLogger(__name__)

_TRY_S = 3.0
"""For one try of one request."""
_BUDGET_S = 8.0
"""For a whole look-up: a token, its requests, their repetition. Less than the spawner waits for it."""
_AT_ONCE = 8
"""Look-ups that go on at the same time. A class that starts together waits in a line; all at once, each would take
longer than the time-out."""
_RENEW_BEFORE_S = 30.0
_PARENTS_FOR_S = 300.0
"""How long it is remembered that a group above others has a slash in its name, or none."""
_PAUSE_S = 0.2
"""Before the one repetition; a Keycloak that restarts drops pooled connections."""

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_FAILURES = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)


class _Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Read it, or raise `ValueError`."""
        return json.loads(self.body)


class KeycloakDirectory:
    """Looks people up with the narrowed service account.

    Parameters
    ----------
    keycloak_url
        Address of Keycloak for machines, without the realm.
    realm
        Realm the people are in.
    client_id, client_secret
        The service account, see `cubehub.keycloak.permissions`.
    pool
        Another way to Keycloak than the network, for tests.

    Notes
    -----
    A look-up is two requests on pooled connections and takes 8 s at most, whatever Keycloak does. Where it
    does not answer the one that asks for a token, all that wait for that token are told at once: a crowd does not
    queue up behind a Keycloak that hangs. Nothing about people is kept between look-ups,
    since a spawn must see the groups of *now*. Only the service account's own token is kept, until
    30 s before it ends, and which groups above others have a slash in their name.

    Requests are made in threads. In the event loop, a Hub that works off a crowd comes to the answers seconds after
    they have arrived, and would take its own slowness for that of Keycloak. They are made with httpcore, on which
    httpx stands: a look-up is on the way of every start, and httpx's own comforts take as long as the rest of it.
    """

    def __deepcopy__(self, memo: dict[int, object]) -> KeycloakDirectory:
        """Give itself: traitlets copies its configuration for each spawner, and they share one pool."""
        return self

    def __init__(
        self,
        keycloak_url: str,
        realm: str,
        client_id: str,
        client_secret: str,
        *,
        pool: httpcore.ConnectionPool | None = None,
    ) -> None:
        self._url = keycloak_url.rstrip("/")
        # The machine's certificates, so that a data centre's own count; its proxies do not.
        self._pool = pool or httpcore.ConnectionPool(
            ssl.create_default_context() if self._url.startswith("https:") else None,
            max_connections=_AT_ONCE,
        )
        self._realm = realm
        self._client_id = client_id
        self._token_path = f"/realms/{realm}/protocol/openid-connect/token"
        self._admin_path = f"/admin/realms/{realm}"
        login = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self._login = urlencode(login).encode()
        self._token: str | None = None
        self._token_ends = 0.0
        self._parents: dict[str, tuple[bool, float]] = {}
        self._signing_in = threading.Lock()
        self._threads = ThreadPoolExecutor(_AT_ONCE, "directory")
        self._silent_at = -math.inf
        self._silence = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the pooled connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.close()

    async def lookup(self, username: str) -> Account:
        """Ask Keycloak about one person.

        Parameters
        ----------
        username
            The whole name; Keycloak keeps names in lower case and finds them in any.

        Raises
        ------
        UnknownAccountError
            Keycloak answered, and has nobody of that name.
        DirectoryUnavailableError
            It could not be asked. ``code`` tells why: ``directory_unreachable``, ``directory_timeout``,
            ``directory_error`` (it failed), ``directory_denied`` (the service account was revoked),
            ``directory_forbidden`` (it lacks a permission), ``directory_token_refused`` (Keycloak does not accept
            a token that it has just given) or ``directory_realm_missing``.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._in_turn, username, time.monotonic())

    def _in_turn(self, username: str, came: float) -> Account:
        if self._silent_at > came:  # while this one stood in the line
            raise _told(self._silence)
        return self._lookup(username, time.monotonic() + _BUDGET_S)

    def _lookup(self, username: str, ends: float) -> Account:
        found = self._get(
            f"{self._admin_path}/users",
            ends,
            username=username,
            exact="true",
            # the brief one has no attributes, among which is when a profile ends
            briefRepresentation="false",
        )
        # asked for exactly one name; compared again so that no search rule of the server can widen it
        people = [one for one in _entries(found) if str(one.get("username", "")).lower() == username.lower()]
        if not people:
            raise UnknownAccountError
        person = people[0]
        try:
            groups = self._get(
                f"{self._admin_path}/users/{quote(person['id'], safe='')}/groups",
                ends,
                briefRepresentation="true",
            )
            return Account(
                username=str(person["username"]),
                id=str(person["id"]),
                enabled=person.get("enabled") is True,
                groups=self._paths(_entries(groups), ends),
                email=person.get("email"),
                until=read_moment(first_value(person, UNTIL)),
                until_profile=first_value(person, UNTIL_PROFILE),
            )
        except KeyError as error:
            raise _unavailable("directory_error", f"Keycloak's answer lacks {error}") from error

    def _paths(self, groups: list[dict[str, Any]], ends: float) -> frozenset[str]:
        """Give the paths of those groups in which each step is one group's name.

        Notes
        -----
        Keycloak lets a group be *named* ``cubehub/premium``; its path then reads as that of the real one. A path
        counts only where neither the group nor any above it has a slash in its name.
        """
        return frozenset([str(group["path"]) for group in groups if not self._has_slash(group, ends)])

    def _has_slash(self, group: dict[str, Any], ends: float) -> bool:
        if "/" in group["name"]:
            return True
        parent = group.get("parentId")
        if not parent:
            # a group without parent has a path of one step, whatever Keycloak leaves out of a brief answer
            return str(group["path"]).count("/") != 1
        now = time.monotonic()
        found, asked = self._parents.get(parent, (True, -math.inf))
        if now - asked > _PARENTS_FOR_S:
            answer = self._get(f"{self._admin_path}/groups/{quote(parent, safe='')}", ends)
            if not isinstance(answer, dict) or "name" not in answer or "path" not in answer:
                raise _unavailable(
                    "directory_error", "Keycloak's answer about a group lacks its name or path"
                )
            found = self._has_slash(answer, ends)
            self._parents[parent] = (found, now)
        return found

    def _get(self, path: str, ends: float, **query: str) -> Any:
        where = f"{path}?{urlencode(query)}" if query else path
        answer = self._send("GET", where, ends, self._authorization(ends))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            # Keycloak lost its sessions or keys, as after a restore; one new token settles whether that was all
            self._token = None
            _log.info("Keycloak no longer accepts the token of %s; asking for a new one", self._client_id)
            answer = self._send("GET", where, ends, self._authorization(ends))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise _unavailable(
                "directory_token_refused", f"Keycloak refused a new token of {self._client_id}"
            )
        if answer.status == HTTPStatus.FORBIDDEN:
            reason = f"{self._client_id} may not read {path}; `cubehub up` gives it the role at its start"
            raise _unavailable("directory_forbidden", reason)
        if answer.status == HTTPStatus.NOT_FOUND and "/users/" in path:
            # deleted between the two requests
            raise UnknownAccountError
        return _content(answer)

    def _authorization(self, ends: float) -> dict[str, str]:
        came = time.monotonic()
        with self._signing_in:
            if self._silent_at > came:
                # while this one waited for its turn; the log has it already
                raise _told(self._silence)
            if self._token is None or time.monotonic() > self._token_ends - _RENEW_BEFORE_S:
                asked = time.monotonic()
                answer = self._send("POST", self._token_path, ends, _FORM, self._login)
                if answer.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                    self._token = None
                    reason = f"Keycloak refused the login of {self._client_id} ({answer.status}: {_reason(answer)})"
                    raise _unavailable("directory_denied", reason)
                if answer.status == HTTPStatus.NOT_FOUND:
                    raise _unavailable("directory_realm_missing", f"Keycloak has no realm {self._realm}")
                content = _content(answer)
                try:
                    self._token = str(content["access_token"])
                    self._token_ends = asked + float(content["expires_in"])
                except (KeyError, TypeError, ValueError) as error:
                    raise _unavailable("directory_error", f"Keycloak's token answer lacks {error}") from error
            return {"Authorization": f"Bearer {self._token}"}

    def _send(
        self, method: str, path: str, ends: float, headers: dict[str, str], content: bytes | None = None
    ) -> _Answer:
        failed: Exception | None = None
        for last in (False, True):
            try:
                return self._send_once(method, path, ends, headers, content)
            except _FAILURES as error:
                failed = error
                if not last:
                    time.sleep(_PAUSE_S)
        if isinstance(failed, httpcore.TimeoutException):
            raise self._silent("directory_timeout", f"Keycloak did not answer within {_TRY_S:g} s, twice")
        raise self._silent("directory_unreachable", f"Keycloak can't be reached: {failed}")

    def _send_once(
        self, method: str, path: str, ends: float, headers: dict[str, str], content: bytes | None
    ) -> _Answer:
        left_s = self._left(ends)
        try_s = min(_TRY_S, left_s)
        # a crowd waits for a free connection as long as for all else
        timeout = {"connect": try_s, "read": try_s, "write": try_s, "pool": left_s}
        body = bytearray()
        with self._pool.stream(
            method,
            self._url + path,
            headers=list(headers.items()),
            content=content,
            extensions={"timeout": timeout},
        ) as answer:
            # the time-out is for each piece; one that comes byte by byte would take for ever
            for piece in answer.iter_stream():
                self._left(ends)
                body += piece
        return _Answer(answer.status, bytes(body))

    def _left(self, ends: float) -> float:
        """Tell how many seconds are left; none is an error."""
        left_s = ends - time.monotonic()
        if left_s <= 0:
            raise self._silent("directory_timeout", f"Keycloak's answers took more than {_BUDGET_S:g} s")
        return left_s

    def _silent(self, code: str, reason: str) -> DirectoryUnavailableError:
        """Note that Keycloak did not answer, and give the error for it."""
        self._silent_at = time.monotonic()
        self._silence = code
        return _unavailable(code, reason)


_IN_VAIN = "Trying again will not help. Tell your administrator, who finds the reason in the Hub's log."
_TEXTS = {
    "directory_unreachable": (
        "Your account could not be checked: the account service can't be reached.",
        "Nothing is wrong with your account. It may be restarting: try again in a minute.",
    ),
    "directory_timeout": (
        "Your account could not be checked: the account service took too long to answer.",
        "Nothing is wrong with your account. Try again in a minute.",
    ),
    "directory_error": (
        "Your account could not be checked: the account service answered with an error.",
        "Nothing is wrong with your account. Try again; if it stays so, tell your administrator.",
    ),
    "directory_denied": (
        "Your account could not be checked: the account service does not accept the platform's own login.",
        "Trying again will not help. Tell your administrator, who should look at the client cubehub-directory in Keycloak.",
    ),
    "directory_forbidden": (
        "Your account could not be checked: the account service no longer lets the platform look.",
        _IN_VAIN,
    ),
    "directory_token_refused": (
        "Your account could not be checked: the account service does not accept a pass that it has just given.",
        _IN_VAIN,
    ),
    "directory_realm_missing": (
        "Your account could not be checked: the account service has lost the platform's accounts.",
        _IN_VAIN,
    ),
}


def _told(code: str) -> DirectoryUnavailableError:
    error = DirectoryUnavailableError(*_TEXTS[code])
    error.code = code
    return error


def _unavailable(code: str, reason: str) -> DirectoryUnavailableError:
    """Translate a cause for the person; the operator's log gets the reason."""
    _log.warning("Directory: %s (%s)", reason, code)
    return _told(code)


def _reason(answer: _Answer) -> str:
    """Give Keycloak's own words for a refusal; they hold nothing that was sent."""
    try:
        said = answer.json()
    except ValueError:
        return "no reason given"
    for key in ("error_description", "error"):
        if isinstance(said, dict) and said.get(key):
            return str(said[key])[:200]
    return "no reason given"


def _content(answer: _Answer) -> Any:
    if answer.status == HTTPStatus.OK:
        try:
            return answer.json()
        except ValueError as error:
            raise _unavailable("directory_error", "Keycloak's answer is not JSON") from error
    raise _unavailable("directory_error", f"Keycloak failed with status {answer.status}")


def _entries(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, list) and all(isinstance(entry, dict) for entry in content):
        return content
    raise _unavailable("directory_error", "Keycloak's answer is not a list")
