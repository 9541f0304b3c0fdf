"""What an operator sets about mail, a part of `cubehub.yaml`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

LANGUAGES = ("en", "et", "cs")
"""Languages that notices are written in."""
Language = Literal["en", "et", "cs"]
PAGE = "page"
"""A server that is none: mails are shown on the administrators' page, and count as sent."""


class MailSettings(BaseModel):
    """How people are written to."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    server: str = ""
    """Name of the SMTP server. Empty: mails wait, and what people made is not moved. ``page``: they are only shown on
    the administrators' page, and count as sent; for trying."""
    port: int = Field(default=587, gt=0, lt=65536)
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is kept from others: ``starttls`` (port 587), ``tls`` (465), ``none`` (25, in a network of your own)."""
    user: str = ""
    """Name to log in with; empty for none."""
    password_file: str = ""
    """File with the password on its first line."""
    sender: str = "CubeHub <cubehub@localhost>"
    """From whom mails come."""
    operator: str = ""
    """Who is written to about homes whose owner has no address; empty for nobody: such homes stay."""
    language: Language = "en"
    """For people who chose none in Keycloak."""

    @field_validator("sender", "operator")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if value and ("@" not in value or not value.isprintable()):
            raise ValueError(f"{value!r} is no address such as CubeHub <cubehub@example.org>")
        return value
