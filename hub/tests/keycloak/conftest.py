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
