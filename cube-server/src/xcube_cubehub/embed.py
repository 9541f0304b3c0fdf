"""The page of a cube for a frame in somebody else's page: a picture, its colours, its time, and the way to the viewer."""

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from xcube_cubehub.quicklook import HEIGHT, WIDTH
from xcube_cubehub.showing import Picture, day_of, describe


def neighbours(picture: Picture) -> tuple[int | None, int | None]:
    """Seconds of the time before and of the one after that show something; None where there is none."""
    hidden = set(picture.index.hidden)
    times = picture.index.times
    before = next((times[s] for s in range(picture.step - 1, -1, -1) if s not in hidden), None)
    after = next((times[s] for s in range(picture.step + 1, len(times)) if s not in hidden), None)
    return before, after


def page(prefix: str, entry: Mapping[str, Any], picture: Picture, folder: Path) -> str:
    """HTML without script; every text of a cube is escaped.

    Parameters
    ----------
    prefix : str
        Of the server.
    entry : mapping
        xcube's entry of the cube.
    picture : Picture
        What is shown.
    folder : path
        Of the cube.
    """
    cube, variable = picture.cube, picture.variable
    told = describe(folder, variable)
    seconds = picture.index.times[picture.step]
    day, stamp = day_of(seconds), time_of(seconds)
    unit = f" [{told['units']}]" if told["units"] not in ("", "1") else ""
    viewer = f"{prefix}/viewer/?" + urlencode({"dataset": cube, "variable": variable, "time": stamp})
    image = f"{prefix}/quicklook/{cube}.png?" + urlencode(
        {"var": variable, "time": stamp, "v": picture.index.version}
    )
    legend = f"{prefix}/tiles/{cube}/{variable}/legend?width=300&height=72"

    def step(to: int | None, text: str, arrow: str) -> str:
        if to is None:
            return f'<span aria-hidden="true">{arrow}</span>'
        address = f"{prefix}/embed/{cube}?" + urlencode({"var": variable, "time": time_of(to)})
        return f'<a href="{escape(address)}" aria-label="{text}, {day_of(to)}">{arrow}</a>'

    before, after = neighbours(picture)
    alt = f"Map of {told['title']} on {day}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(entry["Title"])}</title>
<link rel="stylesheet" href="{escape(prefix)}/embed.css">
</head>
<body>
<main>
<h1>{escape(entry["Title"])}</h1>
<img class="map" src="{escape(image)}" width="{WIDTH}" height="{HEIGHT}" alt="{escape(alt)}">
<p class="what">{escape(told["title"])}{escape(unit)} <img src="{escape(legend)}" alt="Colours from {picture.style.low:g} to {picture.style.high:g}{escape(unit)}"></p>
<nav aria-label="Time">{step(before, "Earlier", "&larr;")} <time datetime="{stamp}">{day}</time> {step(after, "Later", "&rarr;")}
<a href="{escape(viewer)}" target="_blank" rel="noopener">Open in the viewer</a></nav>
<p class="source">{escape(str(entry.get("Attribution", "")))}. Land: Natural Earth</p>
</main>
</body>
</html>
"""


def time_of(seconds: int) -> str:
    """A time as addresses name it: ``2024-07-02T10:30:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
