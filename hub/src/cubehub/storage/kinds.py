"""Kinds of what may leave a home: caches and trash, known by where they are, and what people made, by a policy. Pure."""

from __future__ import annotations

CACHES = {
    "pip": "packages that pip downloaded",
    "conda": "packages that conda or mamba unpacked; environments that link to them keep working",
    "uv": "packages that uv downloaded",
    "checkpoints": "copies that Jupyter made when a notebook was opened or saved",
    "trash": "what was deleted in Jupyter or on the desktop",
    "other": "what else lies in ~/.cache",
}
"""What can be fetched or made again, or was thrown away; nobody is asked before it is moved."""
MADE = {
    "scratch": "files for a while, in a folder that is meant for such",
    "large": "a large file that nobody used for long",
    "idle": "the home of somebody who has not been here for long",
    "workshop": "the home of somebody who took part in a workshop that is over",
}
"""What people made: moved only after they were told twice, and not removed before it is in an archive."""
ASKED = {
    "erasure": "a home that is erased because its owner asked for it",
}
"""What somebody asked for by name; no policy decides it."""
KINDS = CACHES | MADE | ASKED
"""All kinds, and what they hold."""
SCRATCH = "scratch"
KEEP = b".cubehub-keep"
"""A file of this name keeps the folder that it is in, and all that is below, where it is."""
_PATHS = {
    b".cache": "other",
    b".cache/pip": "pip",
    b".cache/uv": "uv",
    b".local/share/uv/cache": "uv",
    b".conda/pkgs": "conda",
    b".mamba/pkgs": "conda",
    b"anaconda3/pkgs": "conda",
    b"mambaforge/pkgs": "conda",
    b"micromamba/pkgs": "conda",
    b"miniconda3/pkgs": "conda",
    b"miniforge3/pkgs": "conda",
    b".local/share/Trash": "trash",
}
_NAMES = {b".ipynb_checkpoints": "checkpoints", b".Trash": "trash"}


def kind_of(
    path: bytes, name: bytes, above: str | None, scratch: frozenset[bytes] = frozenset()
) -> str | None:
    """The kind of a folder.

    Parameters
    ----------
    path : bytes
        From the home.
    name : bytes
        Its last part.
    above : str or None
        The kind of the folder that it is in; what is in a cache is part of it, unless a more exact rule says more.
    scratch : frozenset of bytes
        Paths of the folders that are for scratch.

    Returns
    -------
    str or None
        One of `CACHES`, or scratch; None for what people made.
    """
    exact = _PATHS.get(path) or _NAMES.get(name)
    if exact is None and path in scratch:
        exact = SCRATCH
    if exact is None and name.startswith(b".Trash-") and name[7:].isdigit():
        exact = "trash"
    return exact or above


def is_cache(path: bytes) -> bool:
    """Whether a folder is a cache or a trash, or in one: only by where it is, whatever a plan says of it."""
    kind, way = None, b""
    for name in path.split(b"/"):
        way = way + b"/" + name if way else name
        kind = kind_of(way, name, kind)
    return kind in CACHES


def begins(path: bytes, kind: str | None, above: str | None, scratch: frozenset[bytes] = frozenset()) -> bool:
    """Whether a folder is one that is cleaned up as a whole, and not part of another such.

    Notes
    -----
    Of what else lies in ``~/.cache`` each program's own folder is one, and so is each in a folder for scratch.
    """
    if kind is None:
        return False
    if kind == SCRATCH:
        return path.rpartition(b"/")[0] in scratch
    return path.count(b"/") == 1 if kind == "other" else kind != above
