"""Which account of Keycloak a user name of the Hub stands for: names can be given again, accounts can't."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubehub.local.data_folder import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path


class KnownAccounts:
    """Remembers the account behind each name.

    Parameters
    ----------
    file
        Where it is kept between starts, 0600; without one, in memory.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        found = (read_json(file) if file else None) or {}
        self._ids = {name: one for name, one in found.items() if isinstance(one, str)}

    def is_another(self, name: str, account: str) -> bool:
        """Whether the name stood for another account the last time; one that is new is remembered."""
        if name not in self._ids:
            self.remember(name, account)
        return self._ids[name] != account

    def remember(self, name: str, account: str) -> None:
        """Note that the name stands for this account from now on.

        Raises
        ------
        OSError
            It could not be written.
        """
        if self._ids.get(name) == account:
            return
        known = {**self._ids, name: account}
        if self._file:
            write_json(self._file, known)
        self._ids = known
