"""A real Keycloak for tests: fetched once per user, started with a data folder of its own, ended by process id."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import secrets as random
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cubehub.keycloak.admin import AdminApi
from cubehub.keycloak.fetch import fetch_keycloak
from cubehub.keycloak.provision import DemoAccount, provision
from cubehub.keycloak.realm import CUBES_CLIENT, HUB_CLIENT, HUB_SECRET, REALM
from cubehub.keycloak.server import BOOTSTRAP_CLIENT, BOOTSTRAP_SECRET, KeycloakServer
from cubehub.local.platform import free_port
from cubehub.local.processes import die_with_parent
from cubehub.local.progress import LineProgress
from cubehub.secrets import Secrets

from cubehub_tests.people import form_action, page_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_READY_S = 180


def cache_folder() -> Path:
    """Where tests keep what they fetch: CUBEHUB_TEST_CACHE, else the user's cache folder."""
    chosen = os.environ.get("CUBEHUB_TEST_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cubehub-tests"


def loopback_browser(**options: Any) -> httpx.Client:
    """Give an HTTP client that takes loopback for secure, as browsers do: Keycloak marks its cookies Secure."""

    def open_cookies(_response: httpx.Response) -> None:
        for cookie in client.cookies.jar:
            cookie.secure = False

    client = httpx.Client(trust_env=False, timeout=30, event_hooks={"response": [open_cookies]}, **options)
    return client


@dataclass
class RunningKeycloak:
    """A Keycloak of one test session, with the realm in it."""

    server: KeycloakServer
    secrets: Secrets
    public_url: str
    """Address of a platform that need not be there."""
    accounts: dict[str, DemoAccount] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Keycloak's address."""
        return self.server.public_url

    @property
    def realm_url(self) -> str:
        """The issuer."""
        return f"{self.url}/realms/{REALM}"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.server.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.server.command(),
                env=self.server.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - the only place from which to ask for it
            )
        deadline = time.monotonic() + _READY_S
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"Keycloak did not start:\n{self.server.log.read_text()[-4000:]}")
            time.sleep(0.2)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and give its exit status."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(how)
        try:
            return process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def provision(self) -> list[str]:
        """Make or update the realm; gives what was changed."""
        changes: list[str] = []
        people = provision(self.url, self.public_url, self.secrets, log=changes.append)
        self.accounts = {person.username: person for person in people}
        return changes

    def admin(self) -> AdminApi:
        """Open the admin API with every right."""
        return AdminApi(self.url, BOOTSTRAP_CLIENT, self.secrets.get(BOOTSTRAP_SECRET), REALM)

    def sign_in(
        self, username: str, client_id: str = HUB_CLIENT, password: str | None = None
    ) -> dict[str, Any]:
        """Sign in as a browser would (authorization code with PKCE) and give the tokens.

        Raises
        ------
        PermissionError
            Keycloak showed the login form again; the message is the page's text.
        """
        redirect = {
            HUB_CLIENT: f"{self.public_url}/hub/oauth_callback",
            CUBES_CLIENT: f"{self.public_url}/services/cubes/viewer/",
        }[client_id]
        verifier = random.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        endpoint = f"{self.realm_url}/protocol/openid-connect"
        with loopback_browser() as browser:
            page = browser.get(
                f"{endpoint}/auth",
                params={
                    "client_id": client_id,
                    "redirect_uri": redirect,
                    "response_type": "code",
                    "scope": "openid profile email",
                    "code_challenge": challenge,
                    "code_challenge_method": "S256",
                },
            )
            action = form_action(page.text)
            if not action:
                raise PermissionError(f"no login form ({page.status_code}): {page_text(page.text)[:500]}")
            person = self.accounts[username]
            answer = browser.post(
                action, data={"username": username, "password": password or person.password}
            )
            if answer.status_code != httpx.codes.FOUND:
                raise PermissionError(page_text(answer.text)[:500])
            code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
            data = {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect,
                "client_id": client_id,
                "code_verifier": verifier,
            }
            if client_id == HUB_CLIENT:
                data["client_secret"] = self.secrets.get(HUB_SECRET)
            tokens: dict[str, Any] = browser.post(f"{endpoint}/token", data=data).raise_for_status().json()
            return tokens

    def _ready(self) -> bool:
        try:
            return httpx.get(self.server.health_url, trust_env=False).is_success
        except httpx.HTTPError:
            return False


@contextmanager
def running_keycloak(folder: Path, public_url: str = "http://127.0.0.1:9") -> Iterator[RunningKeycloak]:
    """Run a Keycloak with the realm in it while the block runs.

    Parameters
    ----------
    folder
        Takes data, secrets and log.
    public_url
        Address of the platform that clients redirect to.
    """
    cache = cache_folder()
    home = fetch_keycloak(cache, cache, LineProgress())
    secrets = Secrets(folder / "secrets")
    port = free_port("127.0.0.1", set())
    server = KeycloakServer(
        home=home,
        data=folder / "keycloak",
        host="127.0.0.1",
        port=port,
        management_port=free_port("127.0.0.1", {port}),
        public_url=f"http://127.0.0.1:{port}",
        log=folder / "keycloak.log",
        secrets=secrets,
    )
    with (cache / ".keycloak-build.lock").open("w") as lock:
        # several test runs share the unpacked Keycloak; one of them builds it
        fcntl.flock(lock, fcntl.LOCK_EX)
        server.build()
    keycloak = RunningKeycloak(server, secrets, public_url)
    try:
        keycloak.start()
        keycloak.provision()
        yield keycloak
    finally:
        keycloak.stop()
