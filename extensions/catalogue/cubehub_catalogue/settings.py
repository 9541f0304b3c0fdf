"""catalogues.yaml: which catalogues there are, how each is reached, and who may add some of their own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cubehub_catalogue.auth import Auth, Hub, NoAuth
from cubehub_catalogue.errors import InputError

FILE_VARIABLE = "CUBEHUB_CATALOGUES"
TEXT_VARIABLE = "CUBEHUB_CATALOGUES_YAML"
"""The content of the file, where the platform can't give its servers one."""
PLATFORM_VARIABLE = "CUBEHUB_URL"
SHAPE_OF_ID = r"[a-z0-9-]{1,40}"
LONGEST_TITLE = 200
_LARGEST_FILE = 2**20
_ADMINISTRATOR = "Your administrator can add one that is in a private network, or wants a log-in."
_NAME_OF_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SAMPLES = "samples"
"""The platform's own."""
_HINT = "The shipped catalogues.yaml lists every key with its meaning."
_SECRET_KEYS = re.compile("secret|password|token|value|key|credential|auth", re.IGNORECASE)

CatalogueType = Literal["stac", "static", "geoparquet", "odata", "opensearch"]


class SettingsError(InputError):
    """A settings file that can't be used; names file, key and value."""

    def __init__(self, message: str, hint: str = _HINT) -> None:
        super().__init__("catalogues_file", message, hint)


def without_secrets(text: str) -> str:
    """Give an address, or what should be one, without what may be a password or a key in it, for messages."""
    plain = re.sub(r"(?<=//)[^/@]*@", "…@", text)
    return plain.partition("?")[0] + ("?…" if "?" in plain else "")


def web_address(text: str, *, plain: bool) -> str:
    """Check an address that an operator or a person wrote.

    Parameters
    ----------
    text
        The address.
    plain
        Whether http is allowed beside https.

    Raises
    ------
    ValueError
        It is no such address, or has a user name or password in it.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{without_secrets(text)!r} is not an address") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"{without_secrets(text)!r} is not an https address")
    if parts.scheme == "http" and not plain:
        raise ValueError(f"{without_secrets(text)!r} is not https (http is for `private: true` alone)")
    if "@" in parts.netloc:
        raise ValueError("an address may hold no user name and no password; write them under `auth`")
    if parts.fragment or any(ord(letter) <= 32 or letter == "\\" for letter in text):
        raise ValueError(f"{without_secrets(text)!r} has a space, a backslash or a # in it")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Catalogue(_Strict):
    """One catalogue that people may search."""

    id: str = Field(pattern=f"^{SHAPE_OF_ID}$")
    """Short name, a-z 0-9 -."""
    title: str = Field(min_length=1, max_length=LONGEST_TITLE)
    """As people read it."""
    url: str
    """Root of the catalogue; one that starts with / is on this platform."""
    type: CatalogueType = "stac"
    """What it speaks."""
    public: bool | None = None
    """true: asked without a log-in; the same as `auth: {type: none}`."""
    auth: Auth = NoAuth()
    """How it is asked."""
    collections: tuple[str, ...] = ()
    """Collections that are searched where none is chosen; [] is all."""
    private: bool = False
    """true: its address may be private or loopback, and http."""
    also: tuple[str, ...] = ()
    """Further addresses (scheme, host and port) that belong to it: they get its log-in, and are private where it is."""
    timeout: float = Field(default=30, gt=0, le=600)
    """How long one answer may take in all; seconds."""
    sign_in: str | None = None
    """Where a person gets an account or logs in, shown when the catalogue wants a log-in."""
    own: bool = Field(default=False, exclude=True)
    """Added by the person; never in the file."""

    @property
    def on_platform(self) -> bool:
        """Whether it stands on the Hub's own address."""
        return self.url.startswith("/")

    @field_validator("collections", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return () if value is None else value

    @field_validator("sign_in")
    @classmethod
    def _link(cls, value: str | None) -> str | None:
        return None if value is None else web_address(value, plain=True)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.on_platform:
            if self.url.startswith("//") or "\\" in self.url or ".." in self.url.split("/"):
                raise ValueError(f"url: {self.url!r} is not a path on this platform")
        else:
            web_address(self.url, plain=self.private)
        for origin in self.also:
            web_address(origin, plain=self.private)
            if urlsplit(origin).path.strip("/") or urlsplit(origin).query:
                raise ValueError(
                    f"also: {origin!r} must be scheme, host and port alone, such as https://example.org"
                )
        if self.public and not isinstance(self.auth, NoAuth):
            raise ValueError("public: true and auth contradict each other; leave one of them out")
        if isinstance(self.auth, Hub) and not self.on_platform:
            raise ValueError("auth: the type hub is for catalogues on this platform, whose url starts with /")
        if isinstance(self.auth, Hub) and self.also:
            raise ValueError("also: a catalogue with the auth type hub has one address, the platform's own")
        self.auth.check(private=self.private or self.on_platform)
        return self


class Settings(_Strict):
    """The content of catalogues.yaml."""

    catalogues: tuple[Catalogue, ...] = ()
    """In the order they are shown."""
    user_catalogues: bool = False
    """Whether people may add catalogues of their own: https and public addresses only."""
    files: dict[str, str] = {}
    """Folders of the platform's machine whose files it gives out at /services/catalogue/files/NAME/, to anybody: name and path."""
    tiles: str = ""
    """Address of map tiles, such as https://tiles.example.org/{z}/{x}/{y}.png; empty: the map that is bundled, alone."""

    @field_validator("catalogues", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return () if value is None else value

    @field_validator("files", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return {} if value is None else value

    @field_validator("files")
    @classmethod
    def _folders(cls, value: dict[str, str]) -> dict[str, str]:
        for name, folder in value.items():
            if not _NAME_OF_FOLDER.fullmatch(name) or name == _SAMPLES:
                raise ValueError(
                    f"{name!r} is no name for a folder: use up to 100 letters, digits, dots, hyphens and underscores, "
                    f"a letter or digit first, and not {_SAMPLES!r}"
                )
            if not folder.startswith("/") or ".." in folder.split("/"):
                raise ValueError(f"{folder!r} is not the whole path of a folder, such as /srv/scenes")
        return value

    @field_validator("tiles")
    @classmethod
    def _tiles(cls, value: str) -> str:
        if value:
            web_address(value, plain=True)
            missing = [part for part in ("{z}", "{x}", "{y}") if part not in value]
            if missing:
                raise ValueError(f"{without_secrets(value)!r} has no {', '.join(missing)}")
        return value

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        seen: set[str] = set()
        for one in self.catalogues:
            if one.id in seen:
                raise ValueError(f"the id {one.id!r} is there twice; each catalogue needs its own")
            seen.add(one.id)
        return self


def load_settings(path: Path | str, *, platform_url: str | None = None) -> Settings:
    """Read a settings file.

    Parameters
    ----------
    path
        The file.
    platform_url
        Address of the Hub; catalogues whose `url` is a path stand below it. By default CUBEHUB_URL.

    Returns
    -------
    Settings
        With whole addresses only.

    Raises
    ------
    SettingsError
        The file can't be read, or has a key or value that is not known; names file, key and value.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        text = data.decode()
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}.", "Look at its name and rights."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} cannot be read: it is not UTF-8 text.", _HINT) from error
    if len(data) > _LARGEST_FILE:
        raise SettingsError(f"{path} is larger than 1 MiB, which no list of catalogues is.", _HINT)
    return _read(text, path, platform_url)


def _read(text: str, path: Path | str, platform_url: str | None) -> Settings:
    """Read the content of a file; `path` is what messages call it."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        # the library's own message repeats the line, in which a secret may stand
        mark, why = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise SettingsError(
            f"{path}{line} is not valid YAML{f': {why}' if why else ''}.", "Mend what stands there."
        ) from error
    except ValueError as error:  # the library reads dates and numbers without looking whether there are such
        raise SettingsError(
            f"{path} has a date or a number that is none, such as 2024-02-30.",
            "Mend it, or put it in quotes.",
        ) from error
    return _with_platform(_settings(content, path), platform_url or os.environ.get(PLATFORM_VARIABLE), path)


def here() -> Settings:
    """Read the file that CUBEHUB_CATALOGUES names, or what CUBEHUB_CATALOGUES_YAML holds.

    Raises
    ------
    SettingsError
        What is there can't be used.

    Notes
    -----
    Without either this is nobody's platform but a Lab of one's own, whose person is its administrator.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return load_settings(named)
    text = os.environ.get(TEXT_VARIABLE)
    if text is None:
        return Settings(user_catalogues=True)
    if not text.strip():
        raise SettingsError(
            "The platform's list of catalogues did not reach this server.",
            "Tell your administrator: the Hub's log says why.",
        )
    return _read(text, TEXT_VARIABLE, None)


def own_catalogue(id_: str, title: str, url: str, type_: str) -> Catalogue:
    """Make a catalogue of a person's own, which has no log-in and a public https address.

    Raises
    ------
    InputError
        Names what is wrong, as the form of the panel calls it.
    """
    if not title.strip() or len(title) > LONGEST_TITLE:
        raise _form(
            f"The title is {'too long' if title.strip() else 'empty'}.",
            f"Write how the list should call it, in at most {LONGEST_TITLE} letters.",
        )
    if type_ not in get_args(CatalogueType):
        raise _form(
            f"{type_[:40]!r} is no type of catalogue.", f"Choose one of {', '.join(get_args(CatalogueType))}."
        )
    shown = f"The address {url[:200]!r}"
    if url.lower().startswith("http://"):
        raise _form(
            f"{shown} begins with http://. Catalogues of your own are asked by https alone.",
            f"Try it with https://. {_ADMINISTRATOR}",
        )
    if not url.lower().startswith("https://"):
        raise _form(f"{shown} is no https address.", "Write the whole address, from https:// on.")
    try:
        web_address(url, plain=False)
        return Catalogue.model_validate({"id": id_, "title": title, "url": url, "type": type_, "own": True})
    except ValidationError as error:
        raise _form(f"{shown}: {_first(error)[1]}.", "Look at the address again.") from error
    except ValueError as error:
        if "@" in url:
            raise _form(
                f"The address of {title[:80]!r} has a user name or password in it, or an @.",
                f"Catalogues of your own are asked without a log-in. {_ADMINISTRATOR}",
            ) from error
        raise _form(f"The address can't be used: {error}.", "Copy it again, from https:// on.") from error


def _form(message: str, hint: str) -> InputError:
    return InputError("bad_catalogue", message, hint)


def schema() -> dict[str, Any]:
    """Give the JSON Schema of the file."""
    made = Settings.model_json_schema()
    made["$defs"]["Catalogue"]["properties"].pop("own", None)
    return made


def _settings(content: object, path: Path | str) -> Settings:
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise SettingsError(
            f"{path} must have keys such as `catalogues`, not a {type(content).__name__}.", _HINT
        )
    for entry in content.get("catalogues") or () if isinstance(content.get("catalogues"), list) else ():
        if isinstance(entry, dict) and "own" in entry:
            raise SettingsError(f"{path}: catalogues: own is not a key of the file.", _HINT)
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        where, why, found = _first(error, content)
        raise SettingsError(f"{path}: {where}: {why}{f' (found {found})' if found else ''}", _HINT) from error


def _first(error: ValidationError, content: Any = None) -> tuple[str, str, str]:
    """Say where the first fault is, what it is and what stands there; what may be a secret is not repeated.

    Of a fault between keys, and of a key that is missing, nothing stands there.
    """
    first = error.errors(include_url=False)[0]
    place = [part for part in first["loc"] if not (isinstance(part, str) and part in _KINDS_OF_AUTH)]
    where = ".".join(_named(part, content) for part in place) or "the file"
    if first["type"] == "extra_forbidden":
        why = "there is no such key"
    else:
        why = first["msg"].removeprefix("Value error, ")
    found = first.get("input")
    if (isinstance(found, dict) and first["type"] in _OF_WHOLE) or first["type"] == "extra_forbidden":
        return where, why, ""
    hidden = isinstance(found, dict | list) or any(_SECRET_KEYS.search(str(part)) for part in place)
    return where, why, f"a {type(found).__name__}" if hidden else _repeated(found)


def _repeated(found: object) -> str:
    return repr(without_secrets(found) if isinstance(found, str) else found)[:100]


_OF_WHOLE = frozenset({"value_error", "missing", "union_tag_invalid", "union_tag_not_found"})
"""Kinds of pydantic's errors that come with all that is around the fault."""
_KINDS_OF_AUTH = frozenset({"none", "api_key", "basic", "oauth2_client", "person", "hub"})


def _named(part: int | str, content: Any) -> str:
    """Write a place of the list with the id that stands there."""
    if isinstance(part, int) and isinstance(content, dict):
        try:
            return f"{part} ({content['catalogues'][part]['id']})"
        except (KeyError, TypeError, IndexError):
            return str(part)
    return str(part)


def _with_platform(settings: Settings, platform_url: str | None, path: Path | str) -> Settings:
    """Put the Hub's address before the paths; what stands there is trusted as far as that address goes."""
    made = []
    for one in settings.catalogues:
        if not one.on_platform:
            made.append(one)
            continue
        if not platform_url:
            raise SettingsError(
                f"{path}: catalogues.{one.id}.url: {one.url!r} is a path, and this is no server of a platform.",
                f"Write the whole address, or set {PLATFORM_VARIABLE}.",
            )
        made.append(one.model_copy(update={"url": platform_url.rstrip("/") + one.url, "private": True}))
    return settings.model_copy(update={"catalogues": tuple(made)})
