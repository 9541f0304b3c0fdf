from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub.secrets import Secrets
from cubehub_tests.keycloak import RunningKeycloak, running_keycloak

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    return Secrets(tmp_path / "secrets")


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKeycloak]:
    with running_keycloak(tmp_path_factory.mktemp("keycloak")) as running:
        yield running


@pytest.fixture
def ana_as_before(keycloak: RunningKeycloak) -> Iterator[None]:
    """Put ana back."""
    with keycloak.admin() as api:
        ana = api.get("users", username="ana", exact=True)[0]
        yield
        api.put(f"users/{ana['id']}", ana | {"enabled": True, "attributes": {}})
        for group in api.get(f"users/{ana['id']}/groups"):
            api.delete(f"users/{ana['id']}/groups/{group['id']}")
        api.put(f"users/{ana['id']}/groups/{api.group('/cubehub/standard')['id']}", None)
