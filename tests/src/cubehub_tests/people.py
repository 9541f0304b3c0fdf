"""People without a browser: they follow the pages of Hub and Keycloak as a browser would."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlsplit

import httpx

if TYPE_CHECKING:
    from cubehub_tests.platform import Whole

CUBES_CLIENT = "cubehub-cubes"


class LoginError(AssertionError):
    """Keycloak did not show its form, or did not accept the account."""


class _Form(HTMLParser):
    """Finds the address that Keycloak's login form is sent to, and a page's text."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form" and values.get("id") == "kc-form-login":
            self.action = values.get("action") or ""
        if tag in {"script", "style", "head"}:
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style", "head"}:
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.words.append(data.strip())


def page_text(html: str) -> str:
    """Give what a person reads on a page."""
    form = _Form()
    form.feed(html)
    return " ".join(form.words)


def form_action(html: str) -> str:
    """Give the address Keycloak's login form is sent to; empty where there is none."""
    form = _Form()
    form.feed(html)
    return form.action


@dataclass
class Visitor:
    """Someone with a cookie jar."""

    whole: Whole
    http: httpx.Client

    @classmethod
    def arrive(cls, whole: Whole) -> Self:
        """Come without an account."""
        http = httpx.Client(base_url=whole.url, follow_redirects=True, timeout=60, trust_env=False)

        def open_cookies(_: httpx.Response) -> None:
            # browsers send cookies marked Secure to their own machine without TLS; so must this one
            for cookie in http.cookies.jar:
                cookie.secure = False

        http.event_hooks = {"response": [open_cookies]}
        return cls(whole, http)

    @classmethod
    def login(cls, whole: Whole, name: str) -> Self:
        """Log in to the Hub through Keycloak's form."""
        visitor = cls.arrive(whole)
        try:
            page = visitor.http.get("/hub/login?next=%2Fhub%2Fhome")
            visitor.fill_login_form(page, name)
        except BaseException:
            visitor.http.close()
            raise
        return visitor

    def fill_login_form(self, page: httpx.Response, name: str, *, follow: bool = True) -> httpx.Response:
        """Send Keycloak's form with the account's name and password.

        Raises
        ------
        LoginError
            The page has no such form, or the account is refused.
        """
        action = form_action(page.text)
        if not action:
            raise LoginError(
                f"no login form at {page.url} ({page.status_code}): {page_text(page.text)[:500]}"
            )
        answer = self.http.post(
            action,
            data={"username": name, "password": self.whole.accounts[name], "credentialId": ""},
            follow_redirects=follow,
        )
        if answer.is_error or form_action(answer.text):
            raise LoginError(
                f"{name} could not log in ({answer.status_code}): {page_text(answer.text)[:500]}"
            )
        return answer

    def xsrf(self) -> str:
        """The token that the Hub wants beside the cookie."""
        self.http.get("/hub/home")
        return next(
            cookie.value or ""
            for cookie in self.http.cookies.jar
            if cookie.name == "_xsrf" and cookie.path == "/hub/"
        )

    def cubes_token(self, name: str) -> str:
        """Log in as the viewer page does (authorization code with PKCE) and give the access token."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        redirect = f"{self.whole.url}/services/cubes/viewer/"
        oidc = f"{self.whole.issuer}/protocol/openid-connect"
        page = self.http.get(
            f"{oidc}/auth",
            params={
                "client_id": CUBES_CLIENT, "redirect_uri": redirect, "response_type": "code", "scope": "openid",
                "state": secrets.token_hex(8), "code_challenge": challenge, "code_challenge_method": "S256",
            },
        )  # fmt: skip
        answer = self.fill_login_form(page, name, follow=False)
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        tokens = self.http.post(
            f"{oidc}/token",
            data={
                "grant_type": "authorization_code", "client_id": CUBES_CLIENT, "code": code,
                "redirect_uri": redirect, "code_verifier": verifier,
            },
        )  # fmt: skip
        tokens.raise_for_status()
        return str(tokens.json()["access_token"])
