"""What an operator sets: one annotated file, `cubehub.yaml`, and the files it stands beside."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cubehub.errors import BadInputError
from cubehub.mail.settings import MailSettings
from cubehub.resources import resource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LONGEST_S = 3650 * 86400
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_seconds(value: object) -> int:
    """Turn ``"90m"`` into seconds; a bare number is refused, since its unit could only be guessed."""
    match = re.fullmatch(r"(\d+)\s*([smhd])", str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write a whole number and s, m, h or d, such as 90m")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds == 0:
        raise ValueError("a duration must be more than nothing")
    if seconds > _LONGEST_S:
        raise ValueError("a duration may be ten years at most, 3650d")
    return seconds


def _compile(text: str) -> object:
    return compile(text, "the file", "exec")


_READERS: dict[str, Callable[[str], object]] = {
    ".yaml": yaml.safe_load,
    ".json": json.loads,
    ".geojson": json.loads,
    ".py": _compile,
}

Duration = Annotated[int, BeforeValidator(read_seconds)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class IdleSettings(_Strict):
    """When a server that nobody uses is stopped (the home stays)."""

    stop_after: Duration = Field(default=7200)
    """Time without activity after which a server is stopped; seconds."""
    check_every: Duration = Field(default=300)
    """How often servers are looked at; seconds."""


class EntitlementSettings(_Strict):
    """How fast a change of group reaches servers that run."""

    check_every: Duration = Field(default=5)
    """How often running servers are compared with Keycloak, less often where that takes it long; seconds."""
    grace: Duration = Field(default=86400)
    """How long a running server keeps more memory than its person may have now; seconds."""


class OperatorSettings(_Strict):
    """The content of `cubehub.yaml`."""

    title: str = "CubeHub"
    """Name of the platform, shown on the landing page."""
    demo_accounts: bool = True
    """Create one account per role with a generated password when the realm is new."""
    idle: IdleSettings = IdleSettings()
    """When unused servers are stopped."""
    entitlement: EntitlementSettings = EntitlementSettings()
    """When changes of group reach running servers."""
    mail: MailSettings = MailSettings()
    """How people are written to."""
    spawn_timeout: Duration = Field(default=120)
    """How long a server may take to start; seconds."""


class ConfigFolder:
    """The operator's folder laid over the files CubeHub ships.

    Parameters
    ----------
    own
        Folder whose files replace the shipped ones of the same name; it may be missing.
    """

    def __init__(self, own: Path | None) -> None:
        self.own = own

    def path(self, name: str) -> Path:
        """Path of a configuration file: the operator's own if there is one, else the shipped."""
        if self.own is not None and (self.own / name).is_file():
            return self.own / name
        return resource("config", name)

    def check_syntax(self) -> None:
        """Look whether the operator's own files can be read at all; the parts that use them say the rest.

        Raises
        ------
        BadInputError
            Names the file, the line and what is wrong.
        """
        if self.own is None:
            return
        for file in sorted(self.own.iterdir()):
            read = _READERS.get(file.suffix)
            if read is None or not file.is_file():
                continue
            try:
                read(file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise BadInputError(
                    f"{file} cannot be read: {error}", "It must be a UTF-8 text file."
                ) from error
            except (yaml.YAMLError, ValueError, SyntaxError) as error:
                raise BadInputError(f"{file} is not valid: {error}", "Mend the line it names.") from error

    def operator_settings(self) -> OperatorSettings:
        """Read `cubehub.yaml`.

        Raises
        ------
        BadInputError
            The file is not YAML, or has a key or value CubeHub does not know; names file, key and value.
        """
        path = self.path("cubehub.yaml")
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadInputError(f"{path} cannot be read: {error}", "It must be a UTF-8 text file.") from error
        except yaml.YAMLError as error:
            raise BadInputError(f"{path} is not valid YAML: {error}", "Mend the line it names.") from error
        try:
            return OperatorSettings.model_validate({} if content is None else content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            known = first["type"] != "extra_forbidden"
            why = first["msg"].removeprefix("Value error, ") if known else "CubeHub knows no such key"
            raise BadInputError(
                f"{path}: {where}: {why} (found {first.get('input')!r})",
                "The shipped cubehub.yaml lists every key with its meaning.",
            ) from error
