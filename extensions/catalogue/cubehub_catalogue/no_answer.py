"""Why a filter may have found nothing: a property that nobody has, or a text in other letters."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from cubehub_catalogue.sources.sieve import properties_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ALWAYS = frozenset({"id", "collection", "datetime", "geometry", "bbox"})
"""Of each item, whether a catalogue lists it or not."""
_MOST, _LONGEST, _MOST_COMPARED = 5, 80, 500
"""Sentences, letters of a name, and names that one is compared with: to compare takes long where letters are alike."""
_EXACT = frozenset({"=", "in", "like"})


def unknown_properties(filter_: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Name what a filter asks for and a catalogue does not list, with what may have been meant.

    Parameters
    ----------
    filter_
        In CQL2-JSON.
    schema
        Of the queryables; where it lists none, nothing is known.
    """
    known = _known(schema)
    if not known:
        return []
    near = [name for name in known if len(name) <= _LONGEST][:_MOST_COMPARED]
    told: list[str] = []
    for name in dict.fromkeys(properties_in(filter_)):
        if len(told) == _MOST:
            break
        plain = name.removeprefix("properties.")
        if plain in known or plain in _ALWAYS:
            continue
        close = difflib.get_close_matches(plain[:_LONGEST], near, n=1)
        meant = f"; {close[0]} is" if close else ""
        told.append(f"{_short(plain)} is not among the properties that can be filtered by{meant}.")
    return told


def other_letters(filter_: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Name texts that a filter compares exactly and that may be written in other letters, capital or small."""
    known, told = _known(schema), []
    for name, text in _compared(filter_):
        values = known.get(name, {}).get("enum")
        listed = [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
        if text in listed:
            continue
        same = next((value for value in listed if value.lower() == text.lower()), None)
        if same is not None:
            told.append(
                f"{name} has {_short(same)!r} and not {_short(text)!r}: capital and small letters count."
            )
        elif not listed and text != text.lower():
            told.append(
                f"{name} was compared with {_short(text)!r} letter by letter: capital and small ones count, and most "
                "catalogues write small ones."
            )
    return list(dict.fromkeys(told))[:_MOST]


def _known(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    properties = schema.get("properties")
    return {
        name.removeprefix("properties."): told
        for name, told in (properties.items() if isinstance(properties, dict) else ())
        if isinstance(name, str) and isinstance(told, dict)
    }


def _compared(written: Any) -> Iterator[tuple[str, str]]:
    """Give the texts that properties are compared with; `properties_in` has looked at how deep it is."""
    if isinstance(written, list):
        for part in written:
            yield from _compared(part)
        return
    if not isinstance(written, dict):
        return
    op, args = written.get("op"), written.get("args")
    if op not in _EXACT or not isinstance(args, list) or len(args) != 2:
        yield from _compared(args)
        return
    name = next(
        (one["property"] for one in args if isinstance(one, dict) and isinstance(one.get("property"), str)),
        None,
    )
    if name is None:
        return
    for value in [one for arg in args for one in (arg if isinstance(arg, list) else [arg])]:
        if isinstance(value, str):
            yield name.removeprefix("properties."), value


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
