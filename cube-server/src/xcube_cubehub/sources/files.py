"""Files wherever they lie: bounded reads and walks through fsspec, and XML that cannot bite."""

import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import fsspec
import numpy as np
from aiohttp import ClientTimeout

from xcube_cubehub.errors import BadInputError, SceneBrokenError, SourceMissingError, SourceUnreachableError

MAX_ENTRIES = 200_000
"""Names looked at below a source."""

MAX_DEPTH = 8
"""Folders below each other."""

MAX_TEXT = 16_000_000
"""Bytes of a manifest or an item."""

SECRETS = re.compile(r"//[^/@]*@|[?&](?:sig|token|X-Amz-[^=]*)=[^&]*")
"""What an address may say and a log may not."""

REMOTE = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """A file or folder: its path, whether a folder, its size in bytes and a mark that changes when it is written anew."""

    path: str
    is_folder: bool
    size: int
    mark: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return posixpath.basename(self.path.rstrip("/"))


class Files:
    """A folder, local or on an object store.

    Parameters
    ----------
    root : str
        Path or address, such as ``s3://bucket/path``; protocols as fsspec knows them.
    options : dict, optional
        For the file system, such as ``{"anon": True}``.
    probe : str
        File below the root that must be there; the root itself if empty. A web server has no folders to ask for.

    Raises
    ------
    BadInputError
        No such protocol.
    SourceMissingError
        There is nothing at ``root``.
    SourceUnreachableError
        It cannot be looked at.
    """

    def __init__(self, root: str, options: dict[str, Any] | None = None, probe: str = "") -> None:
        self.options = options or {}
        self.title = SECRETS.sub("//", root)
        try:
            self.fs, self.root = fsspec.core.url_to_fs(root, **patient(root), **self.options)
        except (ValueError, ImportError) as error:
            raise BadInputError(
                f"{self.title} cannot be opened: {error}", "give a folder or an s3:// address"
            ) from error
        self.is_local = "file" in np.atleast_1d(self.fs.protocol)
        try:
            exists = self.fs.exists(f"{self.root.rstrip('/')}/{probe}" if probe else self.root)
        except Exception as error:  # object stores bring families of their own
            raise self._unreachable(error) from error
        if not exists:
            raise SourceMissingError(
                f"there is nothing at {self.title}{'/' + probe if probe else ''}",
                "check the path and its spelling",
            )

    def address(self, path: str) -> str:
        """How another process opens a path: plain if local, with its protocol if not."""
        return path if self.is_local else str(self.fs.unstrip_protocol(path))

    def entries(self, folder: str) -> list[Entry]:
        """What lies in a folder, by name."""
        try:
            found = self.fs.ls(folder, detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._unreachable(error) from error
        entries = []
        for info in found:
            path = str(info["name"])
            if path.rstrip("/") == folder.rstrip("/"):
                continue
            mark = str(
                info.get("ETag")
                or info.get("mtime")
                or info.get("LastModified")
                or info.get("last_modified")
                or ""
            )
            entries.append(Entry(path, info.get("type") == "directory", int(info.get("size") or 0), mark))
        return sorted(entries, key=lambda entry: entry.path)

    def walk(self, stop: re.Pattern[str]) -> Iterator[Entry]:
        """All entries below the root, not going into folders whose name matches ``stop``, and into none twice.

        Raises
        ------
        BadInputError
            There are more than `MAX_ENTRIES`.
        """
        seen, waiting, real = 0, [(self.root, 0)], set()
        while waiting:
            folder, depth = waiting.pop()
            target = os.path.realpath(folder) if self.is_local else folder
            if target in real:  # a link into what was walked already
                continue
            real.add(target)
            for entry in self.entries(folder):
                seen += 1
                if seen > MAX_ENTRIES:
                    raise BadInputError(
                        f"{self.title} holds more than {MAX_ENTRIES:,} files", "name a folder further down"
                    )
                yield entry
                if entry.is_folder and depth < MAX_DEPTH and not stop.search(entry.name):
                    waiting.append((entry.path, depth + 1))

    def text(self, path: str) -> bytes:
        """A small file.

        Raises
        ------
        SceneBrokenError
            It cannot be read, or is larger than `MAX_TEXT`.
        """
        try:
            with self.fs.open(path, "rb") as opened:
                data = bytes(opened.read(MAX_TEXT + 1))
        except Exception as error:
            raise SceneBrokenError(f"{posixpath.basename(path)} cannot be read: {error}") from error
        if len(data) > MAX_TEXT:
            raise SceneBrokenError(f"{posixpath.basename(path)} is larger than {MAX_TEXT:,} bytes")
        return data

    def _unreachable(self, error: Exception) -> SourceUnreachableError:
        hint = "check the address, the network and the credentials in the environment"
        return SourceUnreachableError(
            f"{self.title} cannot be read: {type(error).__name__}: {error}"[:400], hint
        )


def patient(address: str) -> dict[str, Any]:
    """Options of fsspec by which a web server that stays silent is given up; object stores have limits of their own."""
    if not address.lower().startswith("http"):
        return {}
    return {"client_kwargs": {"timeout": ClientTimeout(total=None, sock_connect=10, sock_read=60)}}


def parse_xml(data: bytes, name: str) -> ET.Element:
    """The root of a document.

    Raises
    ------
    SceneBrokenError
        It is not well formed, or declares entities: metadata of a satellite product never does, bombs do.
    """
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise SceneBrokenError(f"{name} declares entities, which product metadata does not")
    try:
        return ET.fromstring(data)  # noqa: S314 - without a DOCTYPE there are no entities to expand or fetch
    except (ET.ParseError, ValueError, LookupError) as error:
        raise SceneBrokenError(f"{name} is no XML: {error}") from error


def local_text(root: ET.Element, tag: str) -> str:
    """Text of the first element with a local name, whatever its namespace; empty if there is none."""
    for element in root.iter():
        if element.tag.rsplit("}", 1)[-1] == tag:
            return (element.text or "").strip()
    return ""


def moment(text: str) -> np.datetime64:
    """A moment in UTC as datetime64[s].

    Raises
    ------
    SceneBrokenError
        The text is no ISO 8601 time, or an impossible one.
    """
    try:
        plain = re.sub(r"(Z|[+]00:?00)$", "", text.strip())
        found: np.datetime64 = np.datetime64(plain, "us").astype("datetime64[s]")
    except ValueError as error:
        raise SceneBrokenError(f"{text[:40]!r} is no time") from error
    if np.isnat(found):
        raise SceneBrokenError("there is no time of sensing")
    return found
