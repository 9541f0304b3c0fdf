"""Catalogues that a person added, in a file in the home."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub_catalogue.errors import CatalogueError, ForbiddenError, InputError, UnknownError
from cubehub_catalogue.settings import own_catalogue

if TYPE_CHECKING:
    from cubehub_catalogue.settings import Catalogue

_MOST, _LARGEST = 50, 2**20


class OwnCatalogues:
    """A person's own catalogues.

    Parameters
    ----------
    file
        Where they are kept.
    allowed
        Whether the administrator lets people have some; where not, those in the file are passed over.
    """

    def __init__(self, file: Path, *, allowed: bool) -> None:
        self.file, self.allowed = file, allowed

    def all(self) -> list[Catalogue]:
        """Give those that can be used; an entry that was broken by hand is passed over."""
        if not self.allowed:
            return []
        found: dict[str, Catalogue] = {}
        for entry in self._read():
            try:
                one = own_catalogue(*(str(entry.get(key, "")) for key in ("id", "title", "url", "type")))
            except CatalogueError:
                continue
            if one.id.startswith("own-"):
                found.setdefault(one.id, one)
        return list(found.values())[:_MOST]

    def add(self, title: str, url: str, kind: str) -> Catalogue:
        """Add one.

        Raises
        ------
        ForbiddenError
            When people may not.
        InputError
            When it can't be one.
        """
        self._allowed()
        here = self.all()
        if len(here) >= _MOST:
            raise InputError(
                "too_many", f"You have {_MOST} catalogues of your own already.", "Remove one first."
            )
        if any(one.url.rstrip("/") == url.rstrip("/") for one in here):
            raise InputError(
                "there_already", "You have added this catalogue already.", "Choose it in the list."
            )
        one = own_catalogue(f"own-{secrets.token_hex(6)}", title.strip(), url.strip(), kind)
        self._write([*here, one])
        return one

    def remove(self, id_: str) -> None:
        """Remove one.

        Raises
        ------
        UnknownError
            When there is none of this id.
        """
        self._allowed()
        here = self.all()
        kept = [one for one in here if one.id != id_]
        if len(kept) == len(here):
            raise UnknownError(
                "unknown_catalogue", "You have no such catalogue of your own.", "Load the page anew."
            )
        self._write(kept)

    def _allowed(self) -> None:
        if not self.allowed:
            raise ForbiddenError(
                "not_allowed",
                "Catalogues of your own are not allowed here.",
                "Ask your administrator to add the catalogue for all.",
            )

    def _read(self) -> list[dict[str, object]]:
        try:
            with self.file.open("rb") as file:
                listed = json.loads(file.read(_LARGEST))
        except (OSError, ValueError, RecursionError):
            return []
        return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []

    def _write(self, catalogues: list[Catalogue]) -> None:
        listed = [{"id": one.id, "title": one.title, "url": one.url, "type": one.type} for one in catalogues]
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self.file.parent, prefix=".catalogues-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(listed, file, indent=1)
                Path(name).replace(self.file)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise InputError(
                "not_saved", f"{self.file} could not be written: {error.strerror}.", "Make room in your home."
            ) from error
