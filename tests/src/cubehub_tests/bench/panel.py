"""How smoothly the catalogue's panel scrolls through ten thousand found items, in a real Chromium."""

from __future__ import annotations

import json
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from cubehub_tests.bench.frame import Case, say
from cubehub_tests.catalogue_lab import running_lab, sight_of
from cubehub_tests.chromium import running_browser
from cubehub_tests.many_items import many_items
from cubehub_tests.platform import ARTEFACTS

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

ITEMS, PAGE = 10_000, 500
TRACE = ARTEFACTS / "panel-trace.json"
"""Chromium's own record of the scrolling, for its developer tools."""
_SETTINGS = {"@cubehub/catalogue:panel": {"pageSize": PAGE}}
_SCROLL = """
async ({ step, frames }) => {
  const list = document.querySelector('.cubehub-cat-list');
  list.scrollTop = 0;
  await new Promise(requestAnimationFrame);
  const times = [];
  for (let n = 0; n < frames; n++) {
    list.scrollTop += step;
    times.push(await new Promise(requestAnimationFrame));
  }
  return times;
}
"""


def measure(*, quick: bool) -> list[Case]:
    """Load 10,000 rows (2,000 for a quick look), then scroll through them a fifth of the list's height a frame."""
    count, frames = (2_000, 120) if quick else (ITEMS, 600)
    with (
        many_items(count) as root,
        running_lab(
            [{"id": "many", "title": "Many", "url": root, "private": True}], settings=_SETTINGS
        ) as lab,
        running_browser() as browser,
        sight_of(browser, lab) as sight,
    ):
        say(f"loading {count:,} rows")
        sight.search()
        _load_all(sight.page, count)
        say("scrolling")
        session = sight.page.context.new_cdp_session(sight.page)
        events = _trace(session)
        times = sight.page.evaluate(_SCROLL, {"step": 72, "frames": frames})
        _end(session, events)
        rows = sight.rows.count()
    gaps = sorted(b - a for a, b in pairwise(times))
    return [
        Case("frame", median(gaps), "ms", floor=1000 / 60),
        Case("frame p95", gaps[int(len(gaps) * 0.95)], "ms", floor=1000 / 60),
        Case("frame, mean over all", (times[-1] - times[0]) / (len(times) - 1), "ms", floor=1000 / 60),
        Case("rows in the page", rows, ""),
    ]


def _load_all(page: Page, count: int) -> None:
    """Scroll to the end until there is no more, as a person does."""
    page.wait_for_function(
        """count => {
          const list = document.querySelector('.cubehub-cat-list');
          list.scrollTop = list.scrollHeight;
          return list.querySelector('.cubehub-cat-tall').offsetHeight >= count * 68;
        }""",
        arg=count,
        polling=100,
    )


def _trace(session: CDPSession) -> list[Any]:
    events: list[Any] = []
    session.on("Tracing.dataCollected", lambda data: events.extend(data["value"]))
    session.send(
        "Tracing.start", {"categories": "devtools.timeline,blink.user_timing", "transferMode": "ReportEvents"}
    )
    return events


def _end(session: CDPSession, events: list[Any]) -> None:
    """Keep the record."""
    with_end: list[bool] = []
    session.on("Tracing.tracingComplete", lambda _: with_end.append(True))
    session.send("Tracing.end")
    for _ in range(200):
        if with_end:
            break
        session.send("Runtime.evaluate", {"expression": "1"})  # lets events come in
    ARTEFACTS.mkdir(exist_ok=True)
    TRACE.write_text(json.dumps({"traceEvents": events}))
