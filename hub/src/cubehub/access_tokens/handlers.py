"""The API by which a person's own server asks for a token, and nobody else."""

from __future__ import annotations

import json
import math
from typing import Any

from jupyterhub.apihandlers.base import APIHandler

from cubehub.access_tokens.exchange import Exchange, NotHandedOutError

SETTINGS_KEY = "cubehub_access_tokens"
"""Where the Hub's tornado settings hold the `Exchange`."""
_LONGEST_BODY, _LONGEST_AUDIENCE = 4096, 200


class AccessTokenHandler(APIHandler):
    """One access token."""

    async def post(self) -> None:
        """Answer `{audience, fresh?}` with a token for it, as RFC 6749, section 5.1, writes one."""
        try:
            user = self._person()
            audience, fresh = self._asked()
            issued = await self._exchange().issue(user, audience, lambda: self._refresh(user), fresh=fresh)
        except NotHandedOutError as error:
            if error.retry_after_s is None:
                # who asks too often has a line of the Hub's for each request already
                name = getattr(self.current_user, "name", "nobody")
                self.log.warning("No access token for %s: %s", name, error.code)
            else:
                self.set_header("Retry-After", str(math.ceil(error.retry_after_s)))
            self.set_status(error.status)
            self._write({"code": error.code, "message": error.message, "hint": error.hint})
            return
        self._write({"access_token": issued.value, "token_type": "Bearer", "expires_in": int(issued.life_s)})

    def _person(self) -> Any:
        """Find whose server asks.

        Notes
        -----
        A server's token is the one kind whose scopes name exactly one server, its own. A token of somebody else with
        whom a server is shared can name one server too, so it must be the owner's. A browser is not answered: a page
        is not to have the token.
        """
        token = self.get_token()
        user = self.current_user
        allowed = (self.parsed_scopes.get("access:servers") if user and token is not None else None) or {}
        names = allowed.get("server", set()) if isinstance(allowed, dict) else set()
        if len(names) == 1 and getattr(user, "kind", "") == "user" and token.user is not None:
            owner, _, server = next(iter(names)).partition("/")
            found = self.find_user(owner)
            spawner = found.spawners.get(server) if found is not None else None
            if found is user and token.user.name == owner and spawner is not None and spawner.active:
                return user
        raise NotHandedOutError(
            403,
            "forbidden",
            "Only a person's own running server may ask for this.",
            "Send the server's own token, JUPYTERHUB_API_TOKEN.",
        )

    def _exchange(self) -> Exchange:
        found: Exchange | None = self.settings.get(SETTINGS_KEY)
        if found is None:
            raise NotHandedOutError(
                503,
                "not_set_up",
                "The Hub hands out no access tokens.",
                "Tell your administrator: JupyterHub.tornado_settings was replaced in jupyterhub_config.py.",
            )
        return found

    def _asked(self) -> tuple[str, bool]:
        """Read for whom, and whether it must be another than before."""
        try:
            sent = json.loads(self.request.body) if len(self.request.body) <= _LONGEST_BODY else None
        except (ValueError, RecursionError):
            sent = None
        audience = sent.get("audience") if isinstance(sent, dict) else None
        fresh = sent.get("fresh", False) if isinstance(sent, dict) else False
        named = isinstance(audience, str) and 0 < len(audience) <= _LONGEST_AUDIENCE
        if not named or not isinstance(fresh, bool):
            raise NotHandedOutError(
                400,
                "bad_input",
                "The body is no JSON object with an audience.",
                'Send {"audience": "NAME"}, or {"audience": "NAME", "fresh": true} when the last one was refused.',
            )
        return str(audience), fresh

    async def _refresh(self, user: Any) -> None:
        """Have the Hub renew the log-in now, though it did so at the beginning of this request."""
        refreshed: set[str] = getattr(self, "_refreshed_users", set())
        refreshed.discard(user.name)
        await self.refresh_auth(user, force=True)

    def _write(self, told: dict[str, Any]) -> None:
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(told))


HANDLERS = [(r"/api/cubehub/access-token", AccessTokenHandler)]
"""For `KeycloakAuthenticator.more_handlers`; the Hub puts its own prefix before them."""
