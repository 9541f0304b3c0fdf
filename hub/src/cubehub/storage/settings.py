"""Where the keeper works and whom it asks: what `cubehub up` writes for it, or an operator on Kubernetes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub_spawner.profiles import load_profiles
from pydantic import BaseModel, ConfigDict, SecretStr

from cubehub.errors import BadInputError
from cubehub.local.data_folder import read_json
from cubehub.settings import ConfigFolder
from cubehub.storage.links import Links
from cubehub.storage.people import People
from cubehub.storage.policies import FILE, Policy, read_policy

if TYPE_CHECKING:
    from cubehub.local.data_folder import DataFolder
    from cubehub.mail.settings import MailSettings

RUN_FILE = "storage.json"


class StorageSettings(BaseModel):
    """The content of the keeper's configuration file (0600, since it holds two secrets)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    data: Path
    """The data folder, for commands."""
    homes: Path
    state: Path
    """The keeper's own folder."""
    audit_log: Path
    config: Path | None
    """The operator's own settings, over the shipped ones."""
    address: str = ""
    port: int = 0
    prefix: str = "/services/storage"
    public_url: str = ""
    """Of the platform, as browsers reach it."""
    hub_api_url: str = ""
    hub_api_token: SecretStr = SecretStr("")
    accounts_url: str = ""
    links_secret: SecretStr = SecretStr("")

    @property
    def files(self) -> ConfigFolder:
        """The settings of the operator; a folder that was made after the start counts as well."""
        return ConfigFolder(self.config or self.data / "config")

    def policy(self) -> Policy:
        """Read `storage.yaml`; as `policy_of`.

        Raises
        ------
        BadInputError
            Archives would be among the homes: they would be taken for one that nobody uses.
        """
        found = policy_of(self.files)
        to = found.archive.to
        if to.startswith("/") and Path(to).resolve().is_relative_to(self.homes.resolve()):
            raise BadInputError(
                f"{self.files.path(FILE)}: archive.to: {to} is among the homes, in {self.homes}.",
                "Name a folder elsewhere: there it would be cleaned up as the home of somebody.",
            )
        return found

    def mail(self) -> MailSettings:
        """Read how people are written to."""
        return self.files.operator_settings().mail

    def title(self) -> str:
        """Name of the platform."""
        return self.files.operator_settings().title

    def storage_of_profiles(self) -> dict[str, int]:
        """Bytes that each profile gives to a home."""
        profiles = load_profiles(self.files.path("profiles.yaml")).profiles
        return {name: profile.storage for name, profile in profiles.items()}

    def people(self) -> People | None:
        """Whom to ask about people; None where nobody was named."""
        token = self.hub_api_token.get_secret_value()
        if not (self.hub_api_url and self.accounts_url and token):
            return None
        return People(self.hub_api_url, self.accounts_url, token)

    def links(self) -> Links:
        """For addresses in mails.

        Raises
        ------
        BadInputError
            They would lead nowhere, or anybody could make them.
        """
        for name, value in (
            ("links_secret", self.links_secret.get_secret_value()),
            ("public_url", self.public_url),
        ):
            if not value:
                message = f"The keeper's settings have no {name}, so people cannot be written to."
                raise BadInputError(message, "See docs/reference/services.md for what they must say.")
        return Links(f"{self.public_url}{self.prefix}", self.links_secret.get_secret_value())


def policy_of(files: ConfigFolder) -> Policy:
    """Read `storage.yaml` in a folder of settings.

    Raises
    ------
    BadInputError
        It cannot be used, or names a profile that there is not.
    """
    found = read_policy(files.path(FILE))
    if found.profiles:
        known = load_profiles(files.path("profiles.yaml")).profiles
        unknown = sorted(found.profiles.keys() - known.keys())
        if unknown:
            raise BadInputError(
                f"{files.path(FILE)}: profiles: there is no profile {unknown[0]!r}.",
                f"There are: {', '.join(known)}.",
            )
    return found


ENVIRONMENT = "CUBEHUB_STORAGE_SETTINGS"
"""Names a file of `StorageSettings`, where there is no data folder: in a job on Kubernetes."""


def named_settings(homes: Path | None = None) -> StorageSettings | None:
    """The settings in the file that the environment names; None if it names none.

    Raises
    ------
    BadInputError
        It is not to be read, or not of their form.
    """
    named = os.environ.get(ENVIRONMENT)
    if not named:
        return None
    try:
        made = StorageSettings.model_validate_json(Path(named).read_bytes())
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        message = f"{named}, which {ENVIRONMENT} names, cannot be used: {first}."
        raise BadInputError(message, "See docs/reference/services.md for what it must say.") from error
    return made if homes is None else made.model_copy(update={"homes": homes})


def settings_of(folder: DataFolder, homes: Path | None = None) -> StorageSettings:
    """The settings by which the platform was started last; of one that never was, as far as they go without.

    Raises
    ------
    BadInputError
        What `cubehub up` wrote is not to be read.
    """
    content = read_json(folder.run / RUN_FILE)
    if content is None:
        started_with = (read_json(folder.run / "hub.json") or {}).get("config")
        content = {
            "data": folder.root,
            "homes": folder.homes,
            "state": folder.storage,
            "audit_log": folder.logs / "audit.jsonl",
            "config": started_with or folder.root / "config",
        }
    try:
        made = StorageSettings.model_validate(content)
    except ValueError as error:
        message = f"{folder.run / RUN_FILE} is not as `cubehub up` writes it."
        raise BadInputError(message, "Stop the platform and start it again.") from error
    return made if homes is None else made.model_copy(update={"homes": homes})
