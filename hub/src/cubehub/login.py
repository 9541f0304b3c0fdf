"""The Hub's pages around a login, for a Keycloak that may hang, fail or forget."""

from __future__ import annotations

from html import escape

from oauthenticator.oauth2 import OAuthCallbackHandler, OAuthLoginHandler, OAuthLogoutHandler
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError

OUTAGE_ERRORS = (HTTPClientError, OSError)
"""What a request to Keycloak raises; see `is_outage`."""


def is_outage(error: Exception) -> bool:
    """Whether Keycloak did not answer or failed, rather than refused."""
    return not isinstance(error, HTTPClientError) or error.code >= 500


def explained(status: int, title: str, text: str, again: str) -> HTTPError:
    """Give an error whose page says what is wrong and leads on; `config/templates/error.html` shows it.

    Parameters
    ----------
    title, text
        For the person.
    again
        Path of the button "Try again".
    """
    error = HTTPError(status, f"{title} {text}")
    error.reason = title.rstrip(".")
    error.jupyterhub_message = f"{title} {text}"
    error.jupyterhub_html_message = (
        f'<span class="cubehub-trouble">{escape(text)}</span></p>'
        f'<p><a class="btn btn-primary" href="{escape(again)}">Try again</a>'
    )
    return error


def outage(again: str) -> HTTPError:
    """Give the error for a Keycloak that does not answer."""
    return explained(
        503,
        "The account service does not answer.",
        "Nothing is wrong with your account, and servers that run go on. Try again in a minute or two; "
        "if it stays so, tell your administrator.",
        again,
    )


_FAILED = "This login could not be completed."
_STALE = "It was begun too long ago, or in another window, or has been used already."
_REFUSED = (
    "The account service refuses the Hub, so trying again may not help. "
    "Tell your administrator, who finds the reason in the Hub's log."
)
_ERRORS_OF_THE_HUB = frozenset(
    {"invalid_request", "invalid_scope", "unauthorized_client", "unsupported_response_type", "server_error"}
)
"""What RFC 6749, section 4.1.2.1, has for a client that is set up wrongly, and for a failure."""


class KeycloakLoginHandler(OAuthLoginHandler):
    """Sends the browser to Keycloak, if that answers: a browser would wait minutes for one that hangs."""

    async def get(self) -> None:
        """Ask Keycloak for a sign of life first."""
        if not await self.authenticator.answers():
            raise outage(self.request.uri)
        super().get()


class KeycloakCallbackHandler(OAuthCallbackHandler):
    """Takes the browser back from Keycloak."""

    async def get(self) -> None:
        """Say how to go on where Keycloak fails between its form and here, or knows no such login any more."""
        login = self.settings["login_url"]
        try:
            await super().get()
        except OUTAGE_ERRORS as error:
            if is_outage(error):
                raise outage(login) from error
            self.log.warning("Keycloak refused to complete a login: %s", error)
            # 400 is its word on the login, any other status on the Hub
            begun_wrongly = isinstance(error, HTTPClientError) and error.code == 400
            raise explained(400, _FAILED, _STALE if begun_wrongly else _REFUSED, login) from error
        except HTTPError as error:
            # the Hub's own checks
            if error.status_code != 400:
                raise
            self.log.warning("A login was not completed: %s", error.log_message)
            of_the_hub = self.get_argument("error", "") in _ERRORS_OF_THE_HUB
            raise explained(400, _FAILED, _REFUSED if of_the_hub else _STALE, login) from error


class KeycloakLogoutHandler(OAuthLogoutHandler):
    """Ends the Keycloak session too, so that the next login asks for a password again."""

    _id_token: str | None = None

    async def handle_logout(self) -> None:
        """Remember the person's id token while the Hub still knows the person.

        Notes
        -----
        The Hub calls this after it has cleared its cookies and before it forgets `current_user`.
        With the id token Keycloak ends the session at once; without, it asks the person first.
        """
        await super().handle_logout()
        user = self.current_user
        auth_state = await user.get_auth_state() if user else None
        self._id_token = (auth_state or {}).get("id_token")

    async def render_logout_page(self) -> None:
        """Send the browser to Keycloak, which sends it back to the landing page.

        Raises
        ------
        tornado.web.HTTPError
            503 when Keycloak does not answer: the next login may then ask for no password.
        """
        if not await self.authenticator.answers():
            raise explained(
                503,
                "You are logged out of the Hub, but not of your account.",
                "The account service does not answer, so whoever uses this browser next could log in as you. "
                "Close all windows of the browser, or log out again in a minute or two.",
                self.request.uri,
            )
        self.redirect(self.authenticator.end_session_url(self._id_token))
