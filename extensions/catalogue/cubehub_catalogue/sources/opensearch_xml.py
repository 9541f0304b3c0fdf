"""XML of others, read without entities, without a document type and within limits."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from cubehub_catalogue.errors import UpstreamError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_LONGEST = 16 * 2**20
_MOST_ELEMENTS = 200_000
_DECLARATION = re.compile(r"^\ufeff?\s*<\?xml\s([^?]*)\?>")
_ENCODING = re.compile(r"encoding\s*=\s*[\"']([^\"']*)")
_ENCODINGS = re.compile(r"utf-?(8|16(le|be)?)|us-ascii|iso-8859-\d+|windows-125\d|latin-?\d", re.IGNORECASE)
ATOM = "{http://www.w3.org/2005/Atom}"


def parse(text: str) -> tuple[Element, dict[str, str]]:
    """Give the root, and the names of the namespaces by prefix.

    Raises
    ------
    UpstreamError
        It is no XML, is too large, has entities or a document type, or was written in another encoding than it says.
    """
    prefixes: dict[str, str] = {}
    root, count = None, 0
    try:
        source = io.BytesIO(_without_declaration(text).encode())
        for event, found in iterparse(source, events=("start-ns", "end"), forbid_dtd=True):
            if event == "start-ns":
                prefixes[found[0] or ""] = found[1]
                continue
            root, count = found, count + 1
            if count > _MOST_ELEMENTS:
                raise _refused("it has more than 200,000 elements")
    except DefusedXmlException as error:
        raise _refused("it has entities or a document type, which are never needed") from error
    except (ParseError, ValueError) as error:
        raise _refused("it is not well-formed") from error
    if root is None:
        raise _refused("it is empty")
    return root, prefixes


def _without_declaration(text: str) -> str:
    """Check what it says of itself; the text is decoded, and the declaration would have it decoded again."""
    if len(text) > _LONGEST:
        raise _refused("it is larger than 16 MiB")
    declared = _DECLARATION.match(text)
    encoding = _ENCODING.search(declared[1]) if declared else None
    if encoding and not _ENCODINGS.fullmatch(encoding[1]):
        raise _refused(f"its encoding {encoding[1][:40]!r} is not known")
    if "\ufffd" in text or "\x00" in text:
        raise _refused("it is not written in the encoding that it says")
    return (text[declared.end() :] if declared else text).lstrip("\ufeff \t\r\n")


def local(element: Element) -> str:
    """Give an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def namespace(element: Element) -> str:
    """Give an element's namespace."""
    return str(element.tag).rpartition("}")[0].removeprefix("{")


def _refused(why: str) -> UpstreamError:
    return UpstreamError(
        "bad_answer",
        f"The catalogue's XML can't be used: {why}.",
        "Tell your administrator, or whoever runs the catalogue.",
    )
