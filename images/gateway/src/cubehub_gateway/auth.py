"""JupyterHub decides who someone is; what it says is passed on with a status that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from dask_gateway_server.auth import JupyterHubAuthenticator

if TYPE_CHECKING:
    from dask_gateway_server.models import User


class HubAuthenticator(JupyterHubAuthenticator):
    """Dask Gateway's JupyterHub authenticator, which answers 500 to a wrong token and to a Hub that is away."""

    async def authenticate(self, request: web.Request) -> User:
        """Look up who the request's token belongs to.

        Raises
        ------
        aiohttp.web.HTTPUnauthorized
            When the Hub doesn't know the token.
        aiohttp.web.HTTPServiceUnavailable
            When the Hub can't be asked.
        """
        try:
            user: Any = await super().authenticate(request)
        except web.HTTPInternalServerError as error:
            # The Hub's 403: the token is unknown, expired or revoked.
            raise web.HTTPUnauthorized(
                reason="JupyterHub does not know this token; restart your server to get a new one",
                headers={"WWW-Authenticate": "jupyterhub"},
            ) from error
        except aiohttp.ClientError as error:
            raise web.HTTPServiceUnavailable(
                reason="JupyterHub can't be reached to check who you are; try again in a minute"
            ) from error
        return user
