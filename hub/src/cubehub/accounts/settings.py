"""What `cubehub up` tells the accounts service."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic needs it at run time

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class AccountsSettings(BaseModel):
    """The content of its configuration file (0600, since it holds two secrets)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    address: str
    port: int
    prefix: str = "/services/accounts"
    hub_api_url: str
    hub_api_token: SecretStr
    gateway_url: str
    """Dask Gateway with its prefix, on loopback."""
    keycloak_url: str
    realm: str
    client_id: str
    client_secret: SecretStr
    profiles_yaml: Path
    audit_log: Path
    check_every_s: float = Field(gt=0)
