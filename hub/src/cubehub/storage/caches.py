"""Which folders of a home are caches or a trash: what can be fetched or made again, or was thrown away. Pure."""

from __future__ import annotations

KINDS = {
    "pip": "packages that pip downloaded",
    "conda": "packages that conda or mamba unpacked; environments that link to them keep working",
    "uv": "packages that uv downloaded",
    "checkpoints": "copies that Jupyter made when a notebook was opened or saved",
    "trash": "what was deleted in Jupyter or on the desktop",
    "other": "what else lies in ~/.cache",
}
"""Kinds, and what they hold."""
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


def kind_of(path: bytes, name: bytes, above: str | None) -> str | None:
    """The kind of a folder.

    Parameters
    ----------
    path : bytes
        From the home.
    name : bytes
        Its last part.
    above : str or None
        The kind of the folder that it is in; what is in a cache is part of it, unless a more exact rule says more.

    Returns
    -------
    str or None
        One of `KINDS`; None for what people made.
    """
    exact = _PATHS.get(path) or _NAMES.get(name)
    if exact is None and name.startswith(b".Trash-") and name[7:].isdigit():
        exact = "trash"
    return exact or above


def begins(path: bytes, kind: str | None, above: str | None) -> bool:
    """Whether a folder is one that is cleaned up as a whole, and not part of another such.

    Notes
    -----
    Of what else lies in ``~/.cache`` each program's own folder is one.
    """
    if kind is None:
        return False
    return path.count(b"/") == 1 if kind == "other" else kind != above
