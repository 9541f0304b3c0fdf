"""Names for folders, cgroups and units that are valid and distinct for any user name.

A name that is already plain is kept, so that an administrator finds ``ana`` in ``homes/ana``. Every other
gets a readable stem and 16 hexadecimal digits of its SHA-256, joined by ``--``, which no plain name contains.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

_PLAIN = re.compile(r"[a-z](?:-?[a-z0-9])*")
_LONGEST = 48


def slug(text: str) -> str:
    """Name `text` in at most 48 of ``a-z``, ``0-9`` and ``-``, beginning with a letter.

    Notes
    -----
    Distinct texts get distinct names: a plain one is itself, every other carries its own digest.
    Case is told apart too (``Ana`` is not plain), since a file system may tell it.
    """
    if len(text) <= _LONGEST and _PLAIN.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", ascii_text).strip("-")[: _LONGEST - 20].strip("-")
    if not stem[:1].isalpha():
        stem = f"x{stem}"
    return f"{stem}--{digest}"


def home_name(username: str) -> str:
    """Name a person's home folder."""
    return slug(username)


def group_name(username: str, server_name: str = "", scope: str = "") -> str:
    """Name a server's cgroup, systemd unit (without its suffix) and state folder.

    Parameters
    ----------
    username, server_name : str
        The person, and the name of their server; empty for the default one.
    scope : str
        What tells two Hubs on one machine apart, e.g. the path of their homes.
    """
    tag = hashlib.sha256(scope.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    name = f"cubehub-{tag}-{slug(username)}"
    return f"{name}.{slug(server_name)}" if server_name else name
