"""Login to the Hub with a Keycloak account: one set of safe defaults, derived from three addresses."""

from __future__ import annotations

import math
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from cubehub_spawner.errors import DirectoryUnavailableError, UnknownAccountError
from oauthenticator.generic import GenericOAuthenticator
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from traitlets import Any as AnyTrait
from traitlets import Bool, Int, List, TraitError, Unicode, default, validate

from cubehub.hub_tokens import end_all_of, end_browser_logins, end_tokens, is_by_token
from cubehub.known_accounts import KnownAccounts
from cubehub.login import (
    OUTAGE_ERRORS,
    KeycloakCallbackHandler,
    KeycloakLoginHandler,
    KeycloakLogoutHandler,
    is_outage,
)
from cubehub.token_life import near_end, token_end

_silences: ContextVar[list[Exception] | None] = ContextVar("silences", default=None)
"""Where the refresh of one person notes that Keycloak did not answer it; another's tells nothing about a refusal."""


class KeycloakAuthenticator(GenericOAuthenticator):
    """Keycloak accounts for the Hub.

    Notes
    -----
    Every enabled account of the realm may log in; whether a server starts, and how large, is the
    spawner's decision at the moment of the spawn. Groups come from userinfo at each refresh, never
    from an id token, which would repeat the groups of the login.
    """

    login_handler = KeycloakLoginHandler
    callback_handler = KeycloakCallbackHandler
    logout_handler = KeycloakLogoutHandler

    keycloak_url = Unicode(
        config=True,
        help="Address of Keycloak as the Hub reaches it, without the realm, such as http://127.0.0.1:8001.",
    )
    keycloak_public_url = Unicode(
        config=True, help="Address of Keycloak as browsers reach it; the same as keycloak_url unless set."
    )
    realm = Unicode("cubehub", config=True, help="The realm whose accounts may log in.")
    public_url = Unicode(
        config=True,
        help="The one address of the platform as browsers reach it, such as http://127.0.0.1:8000.",
    )
    token_reserve = Int(
        90,
        config=True,
        help="""
        An access token with less life than this is renewed at the next refresh; seconds.

        More than `auth_refresh_age`, so that no token ends between two refreshes. At most half of
        the token's life counts, so that a realm with very short tokens still works.
        """,
    )
    outage_grace = Int(
        3600,
        config=True,
        help="""
        How long after a person's token ended the Hub goes on serving them while Keycloak does not answer; seconds.

        Running servers stay reachable through an outage. Nothing new starts: the spawner asks
        Keycloak itself, and refuses when it can't.
        """,
    )
    directory = AnyTrait(
        help="""
        Who is asked about a person whose tokens are used while they are logged in nowhere: an object with `async lookup(username) -> Account`.

        With it, tokens that a person made, and those of their servers, work until the account is
        disabled. Without it they stop when the person logs out.
        """
    ).tag(config=True)
    accounts_file = Unicode(
        config=True,
        help="""
        Path of the file that remembers which Keycloak account each user name stands for; without one, until the Hub ends.

        Whoever gets the name of a deleted person gets none of their servers and tokens.
        """,
    )
    more_handlers = List(
        help="""
        Pages and API of the Hub beside those of the log-in: pairs of a path below the Hub's and a handler class.

        `JupyterHub.extra_handlers` does the same and is deprecated.
        """
    ).tag(config=True)
    userdata_from_id_token = Bool(
        default_value=False, config=True, help="Refused: an id token repeats the groups of the login."
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._vouched: dict[str, float] = {}
        self._admin_groups_of: dict[str, frozenset[str]] = {}
        self._accounts = KnownAccounts(Path(self.accounts_file) if self.accounts_file else None)

    @default("keycloak_public_url")
    def _keycloak_public_url_default(self) -> str:
        return str(self.keycloak_url)

    @validate("keycloak_url", "keycloak_public_url", "public_url")
    def _validate_address(self, proposal: Any) -> str:
        address = str(proposal["value"]).rstrip("/")
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TraitError(
                f"{proposal['trait'].name} is {proposal['value']!r}; it must be an http(s) address"
            )
        return address

    @validate("userdata_from_id_token")
    def _validate_userdata_from_id_token(self, proposal: Any) -> bool:
        if proposal["value"]:
            raise TraitError("userdata_from_id_token=True would keep stale groups; leave it out")
        return False

    @validate("auth_refresh_age")
    def _validate_auth_refresh_age(self, proposal: Any) -> int:
        if proposal["value"] <= 0:
            raise TraitError(
                f"auth_refresh_age is {proposal['value']!r}; 0 would keep groups, and logins that have ended, for ever, so it must be more"
            )
        return int(proposal["value"])

    # what the Hub and oauthenticator leave open

    @default("auth_refresh_age")
    def _auth_refresh_age_default(self) -> int:
        return 60

    @default("auth_refresh_strict")
    def _auth_refresh_strict_default(self) -> bool:
        return True

    @default("refresh_pre_spawn")
    def _refresh_pre_spawn_default(self) -> bool:
        # the spawner asks Keycloak at each start, when the person already sees that it is starting; a slow
        # refresh before that leaves them on a page which says that no server runs, and nothing else
        return False

    @default("enable_auth_state")
    def _enable_auth_state_default(self) -> bool:
        return True

    @default("manage_groups")
    def _manage_groups_default(self) -> bool:
        return True

    @default("admin_groups")
    def _admin_groups_default(self) -> set[str]:
        return {"/cubehub/admin"}

    @default("allow_all")
    def _allow_all_default(self) -> bool:
        return True

    @default("auto_login")
    def _auto_login_default(self) -> bool:
        return True

    @default("username_claim")
    def _username_claim_default(self) -> str:
        return "preferred_username"

    @default("scope")
    def _scope_default(self) -> list[str]:
        return ["openid", "profile", "email"]

    @default("client_id")
    def _client_id_default(self) -> str:
        return "cubehub-hub"

    @default("enable_pkce")
    def _enable_pkce_default(self) -> bool:
        return True

    @default("login_service")
    def _login_service_default(self) -> str:
        return "CubeHub account"

    @default("http_request_kwargs")
    def _http_request_kwargs_default(self) -> dict[str, Any]:
        # a Keycloak that hangs must not hang every page for tornado's 20 s
        return {"connect_timeout": 3, "request_timeout": 6}

    @default("http_client")
    def _default_http_client(self) -> AsyncHTTPClient:
        # of its own: in the shared one, requests that hang would keep the Hub from talking to its proxy
        return AsyncHTTPClient(force_instance=True)

    def get_handlers(self, app: Any) -> list[tuple[str, Any]]:
        """Give the handlers of the log-in, and those of `more_handlers`."""
        return [*super().get_handlers(app), *self.more_handlers]

    # addresses

    @default("authorize_url")
    def _authorize_url_default(self) -> str:
        return self._endpoint(self.keycloak_public_url, "auth")

    @default("token_url")
    def _token_url_default(self) -> str:
        return self._endpoint(self.keycloak_url, "token")

    @default("userdata_url")
    def _userdata_url_default(self) -> str:
        return self._endpoint(self.keycloak_url, "userinfo")

    @default("oauth_callback_url")
    def _oauth_callback_url_default(self) -> str:
        return f"{self.public_url}/hub/oauth_callback"

    @default("logout_redirect_url")
    def _logout_redirect_url_default(self) -> str:
        return f"{self.public_url}/"

    def end_session_url(self, id_token: str | None) -> str:
        """Give the address that ends the Keycloak session and comes back to `logout_redirect_url`.

        Parameters
        ----------
        id_token
            Of the session to end; without one Keycloak asks the person to confirm.
        """
        query = {"client_id": self.client_id, "post_logout_redirect_uri": self.logout_redirect_url}
        if id_token:
            query["id_token_hint"] = id_token
        return f"{self._endpoint(self.keycloak_public_url, 'logout')}?{urlencode(query)}"

    async def get_user_groups(self, auth_state: dict[str, Any]) -> set[str]:
        """Give the group paths of userinfo; an account in no group has no such claim, which means none.

        Notes
        -----
        A path is only a string there, and Keycloak lets a group elsewhere be *named* ``cubehub/admin``. So who seems to
        be an administrator is looked up by the directory, which tells such groups apart. Where it can't be asked, those
        stay who were found to be one before, and nobody becomes one.
        """
        userinfo = auth_state.get(self.user_auth_state_key) or {}
        found = userinfo.get("groups")
        groups = {str(group) for group in found} if isinstance(found, list) else set()
        if self.directory is None or self.admin_groups.isdisjoint(groups):
            return groups
        name = str(userinfo.get(self.username_claim))
        try:
            real = (await self.directory.lookup(name)).groups
        except UnknownAccountError:
            real = frozenset()
        except DirectoryUnavailableError:
            real = self._admin_groups_of.get(name, frozenset())
            if not real:
                self.log.warning(
                    "Whether %s is an administrator can't be checked, so they are none for now", name
                )
        self._admin_groups_of[name] = frozenset(real & self.admin_groups)
        kept: set[str] = groups - (self.admin_groups - real)
        return kept

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """Ask userinfo, unless the token is about to end.

        Raises
        ------
        HTTPClientError
            With status 401 for a token near its end, which is `refresh_user`'s sign to renew it:
            userinfo still accepts such a token, and it would end in the hands of whoever gets it next.
        """
        if near_end(str(token_info["access_token"]), time.time(), self.token_reserve):
            raise HTTPClientError(401, "the access token is about to end")
        return dict(await super().token_to_user(token_info))

    async def authenticate(self, handler: Any, data: Any = None, **kwargs: Any) -> dict[str, Any] | None:
        """Log a person in; before somebody new of an old name, take away what the old one had.

        Notes
        -----
        oauthenticator asks subclasses to leave this alone because the model is made elsewhere; it is not touched here.
        The name is remembered last, so that a failure half way is made good at the next login.
        """
        model: dict[str, Any] | None = await super().authenticate(handler, data, **kwargs)
        if model:
            name = self.normalize_username(model["name"])
            account = str(model["auth_state"][self.user_auth_state_key]["sub"])
            if self._accounts.is_another(name, account):
                self.log.warning(
                    "%s is another account than before; servers and tokens of that one end", name
                )
                user = handler.find_user(name)
                if user is not None:
                    await end_all_of(user, handler)
                self._accounts.remember(name, account)
        return model

    async def fetch(self, *args: Any, **kwargs: Any) -> Any:
        """Ask Keycloak, and note when it did not answer."""
        try:
            return await super().fetch(*args, **kwargs)
        except OUTAGE_ERRORS as error:
            noted = _silences.get()
            if noted is not None and is_outage(error):
                noted.append(error)
            raise

    async def answers(self) -> bool:
        """Whether Keycloak answers now."""
        try:
            await self.httpfetch(f"{self.keycloak_url}/realms/{self.realm}", label="looking for Keycloak")
        except OUTAGE_ERRORS as error:
            return not is_outage(error)
        return True

    async def refresh_user(self, user: Any, handler: Any = None, **kwargs: Any) -> Any:
        """Renew what the Hub knows about a person; during an outage of Keycloak, keep it for a while.

        Returns
        -------
        bool or dict
            As the base class; True also when Keycloak does not answer and the person was known to it
            less than `outage_grace` ago; for a token of a person who is logged in nowhere, what the
            directory says.

        Notes
        -----
        The Hub calls this at a person's requests, including those of their running servers, once
        `auth_refresh_age` has passed. It takes an exception for nobody's login, with a traceback in its log,
        so none is raised: after the grace a browser is sent to the login page, which says that Keycloak
        does not answer, and a token is refused.
        """
        silences: list[Exception] = []
        _silences.set(silences)
        before = await user.get_auth_state()
        try:
            answer = await super().refresh_user(user, handler, **kwargs)
        except OUTAGE_ERRORS as error:
            self.log.warning("Keycloak does not answer, so %s can't be refreshed: %s", user.name, error)
        else:
            # the base class takes an outage while it renews a token for a refusal
            if answer is not False or not silences:
                return answer or await self._without_session(user, handler, before)
            self.log.warning("Keycloak does not answer, so the token of %s can't be renewed", user.name)
        if token_end(str((before or {}).get("access_token"))) + self.outage_grace > time.time():
            return True
        self.log.warning("%s is kept no longer: Keycloak has been away for too long", user.name)
        return False

    async def _without_session(self, user: Any, handler: Any, before: dict[str, Any] | None) -> Any:
        """Decide about somebody whose session Keycloak has ended, or who is logged in nowhere.

        Notes
        -----
        A browser must log in again. A token that the person made on purpose, or that a running server
        has, is no browser's: whether it goes on is Keycloak's word about the account, not about a session.
        """
        if before is not None and await user.get_auth_state() == before:
            await user.save_auth_state(None)
            end_browser_logins(user)
        if self.directory is None or not is_by_token(handler, user):
            return False
        try:
            account = await self.directory.lookup(user.name)
        except UnknownAccountError:
            return False
        except DirectoryUnavailableError:
            return time.monotonic() - self._vouched.get(user.name, -math.inf) < self.outage_grace
        if self._accounts.is_another(user.name, account.id):
            self.log.warning("A token of %s is of another account than the one of that name now", user.name)
            end_tokens(user)
            return False
        if not account.enabled:
            return False
        self._vouched[user.name] = time.monotonic()
        admin = user.name in self.admin_users or not self.admin_groups.isdisjoint(account.groups)
        return {"name": user.name, "groups": sorted(account.groups), "admin": admin}

    def _endpoint(self, base: str, name: str) -> str:
        return f"{base}/realms/{self.realm}/protocol/openid-connect/{name}"
