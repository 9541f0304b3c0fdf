"""Start the accounts service: ``python -m cubehub.accounts --config FILE``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
from pathlib import Path

from cubehub.accounts.actions import Actions
from cubehub.accounts.api import LIMITS, make_app
from cubehub.accounts.keycloak import KeycloakAdmin
from cubehub.accounts.membership import Membership
from cubehub.accounts.neighbours import Gateway, Hub
from cubehub.accounts.reconciler import Reconciler
from cubehub.accounts.settings import AccountsSettings


async def _serve(settings: AccountsSettings) -> None:
    token = settings.hub_api_token.get_secret_value()
    keycloak = KeycloakAdmin(
        settings.keycloak_url, settings.realm, settings.client_id, settings.client_secret.get_secret_value()
    )
    hub, gateway = Hub(settings.hub_api_url, token), Gateway(settings.gateway_url, token)
    actions = Actions(Membership(keycloak), hub, gateway, settings.profiles_yaml, settings.audit_log)
    reconciler = Reconciler(actions, settings.check_every_s)
    server = make_app(settings.prefix, actions, reconciler).listen(settings.port, settings.address, **LIMITS)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    rounds = asyncio.create_task(reconciler.run())
    await stop.wait()
    server.stop()
    rounds.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await rounds
    for one in (keycloak, hub, gateway):
        await one.aclose()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Moves and suspends people; lets what runs follow.")
    parser.add_argument("--config", required=True, type=Path)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    # these would write a line for each request of each round, or for each that was refused
    for name in ("httpx", "httpcore", "tornado.access"):
        logging.getLogger(name).setLevel(logging.ERROR)
    content = json.loads(parser.parse_args().config.read_text())
    asyncio.run(_serve(AccountsSettings.model_validate(content)))


if __name__ == "__main__":
    main()
