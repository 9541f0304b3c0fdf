"""What a scan found as a page: a treemap of homes and the folders in them, colour by how long nobody used it.

One file without scripts and without anything from elsewhere, so that it can be sent and kept.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from cubehub_spawner.entitlement import format_bytes

from cubehub.storage.treemap import Box, squarified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub.storage.results import Details, Home, Summary

WIDTH, HEIGHT = 1200, 760
_HEAD, _BORDER, _SMALLEST = 17.0, 2.0, 4.0
_LETTER = 6.6
"""Width of a letter, about."""
_DAY_S = 86400
AGES = (
    (30, "#74add1", "in the last 30 days"), (90, "#80bfab", "30 to 90 days ago"), (180, "#c7e8ad", "90 to 180 days ago"),
    (365, "#fdd88c", "half a year to a year ago"), (float("inf"), "#f4894a", "more than a year ago"),
)  # fmt: skip
"""Days since the newest use, colours that people who see no red tell apart too, and what they say."""
_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem auto; max-width: 1200px; padding: 0 1rem; color: #1b1f24; background: #fff }
svg { width: 100%; height: auto; display: block; border: 1px solid #57606a }
svg text { font: 11px system-ui, sans-serif; fill: #1b1f24 }
rect { stroke: #fff; stroke-width: 1 }
ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem }
li i { display: inline-block; width: 1em; height: 1em; margin-right: .4em; vertical-align: -.15em }
table { border-collapse: collapse; margin-top: 1rem } td, th { padding: .15rem .8rem .15rem 0; text-align: left }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
"""


@dataclass
class Part:
    """A folder with those in it that are told by name."""

    name: str
    path: str
    bytes: int
    files: int
    newest: int
    below: list[Part] = field(default_factory=list)


def page(summary: Summary, homes: list[Home], details: dict[str, Details], most: int = 60) -> str:
    """The page.

    Parameters
    ----------
    details : dict of str to Details
        By home; of those that are not in it only the size is shown.
    most : int
        Homes that are shown by name, the largest; the others are one area.
    """
    parts = [_home(home, details.get(home.name)) for home in homes[:most] if home.bytes]
    rest = homes[most:]
    if rest:
        parts.append(
            Part(
                f"{len(rest):,} smaller homes",
                "",
                sum(h.bytes for h in rest),
                sum(h.files for h in rest),
                max(h.newest for h in rest),
            )
        )
        parts.sort(key=lambda part: -part.bytes)
    when = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(summary.ended))
    title = f"{summary.homes:,} homes, {summary.files:,} files, {format_bytes(summary.bytes)}"
    legend = "".join(f'<li><i style="background:{colour}"></i>{said}</li>' for _, colour, said in AGES)
    drawn = "".join(_drawn(parts, Box(0, 0, WIDTH, HEIGHT), summary.ended, 0))
    rows = "".join(
        f"<tr><td>{escape(h.name)}</td><td class=n>{format_bytes(h.bytes)}</td><td class=n>{h.files:,}</td>"
        f"<td class=n>{format_bytes(sum(s.bytes for s in h.caches.values()))}</td><td>{_used(h.newest, summary.ended)}</td></tr>"
        for h in homes
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Homes: {title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1><p>Looked at {when}. "
        f"An area is as large as what is in it; point at it for its name. The colour tells when something of it was last used:</p>"
        f'<ul>{legend}</ul><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Treemap of the homes; the table below has the same">'
        f"{drawn}</svg><table><thead><tr><th>home</th><th class=n>size</th><th class=n>files</th><th class=n>caches, trash</th>"
        f"<th>last used</th></tr></thead><tbody>{rows}</tbody></table></body></html>\n"
    )


def _home(home: Home, details: Details | None) -> Part:
    """A home as a tree of its folders."""
    top = Part(home.name, home.name, home.bytes, home.files, home.newest)
    nodes = {"": top}
    for path, share in sorted(details.places if details else [], key=lambda item: item[0].count("/")):
        if not path:
            continue
        above, _, name = path.rpartition("/")
        part = nodes[path] = Part(name, f"{home.name}/{path}", share.bytes, share.files, share.newest)
        if above in nodes:
            nodes[above].below.append(part)
    return top


def _drawn(parts: list[Part], room: Box, now: float, depth: int) -> Iterator[str]:
    """Rectangles of some parts that fill a room, and of what is in them."""
    parts = sorted((part for part in parts if part.bytes), key=lambda part: -part.bytes)
    for part, box in zip(parts, squarified([p.bytes for p in parts], room), strict=True):
        if min(box.width, box.height) < 1:
            continue
        said = f"{part.path or part.name}: {format_bytes(part.bytes)}, {part.files:,} files, last used {_used(part.newest, now)}"
        yield (
            f'<g><title>{escape(said)}</title><rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
            f' fill="{_colour(part.newest, now)}"/>'
        )
        letters = int((box.width - 6) / _LETTER)
        if box.height > _HEAD and letters > 3:
            name = part.name if len(part.name) <= letters else part.name[: letters - 1] + "…"
            yield f'<text x="{box.x + 4:.1f}" y="{box.y + 12:.1f}">{escape(name)}</text>'
        inner = box.inside(_BORDER, _HEAD)
        own = part.bytes - sum(p.bytes for p in part.below)
        if part.below and min(inner.width, inner.height) > _SMALLEST and depth < 6:
            # what lies in the folder itself keeps its area, without a rectangle of its own
            yield from _drawn([*part.below, *_rest(part, own)], inner, now, depth + 1)
        yield "</g>"


def _rest(part: Part, own: int) -> list[Part]:
    return [Part("", f"{part.path} (files in it, and small folders)", own, 0, part.newest)] if own > 0 else []


def _used(newest: int, now: float) -> str:
    if not newest:
        return "never"
    days = int((now - newest) // _DAY_S)
    return "today" if days <= 0 else "yesterday" if days == 1 else f"{days:,} days ago"


def _colour(newest: int, now: float) -> str:
    days = (now - newest) / _DAY_S
    return next(colour for most, colour, _ in AGES if days < most or most == float("inf"))
