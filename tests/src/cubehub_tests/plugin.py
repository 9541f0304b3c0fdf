"""pytest plugin: leaves out what this machine lacks the means for, says so at the end, and orders the suites.

A test says what it cannot do without by ``@pytest.mark.needs("postgis")``; see `cubehub_tests.needs`.
Where CI is set nothing is left out: a test whose need is missing fails, and so does one that skips itself. Only what
nothing could bring to the machine (see `Need.possible`) is left out and named there too.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

import pytest

from cubehub_tests.needs import NEEDED_BY_MARKER, NEEDS, Need, missing
from cubehub_tests.rooms import Suites

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

_SLOW = ("whole", "browser", "rooms", "kube", "chaos")
_ORDER = ("kube", "whole", "browser", "rooms", "chaos")
"""Suites with real servers come after all others; the rooms' are asked for late because they run beside (see
`cubehub_tests.rooms`); chaos last, since it kills what others use."""
_TIMEOUT_S = {"rooms": 1800, "kube": 900, "whole": 900, "browser": 900, "chaos": 900}
"""A hang ends here; nothing is measured by it."""
_LEFT_OUT = "left out"
_left_out: pytest.StashKey[dict[tuple[str, str], int]] = pytest.StashKey()
SUITES: pytest.StashKey[Suites] = pytest.StashKey()
"""What runs in the rooms during this session."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers this plugin gives a meaning to."""
    config.addinivalue_line(
        "markers", "needs(*names): what the test cannot do without, see cubehub_tests.needs"
    )
    config.addinivalue_line("markers", "chaos: kills parts of the running platform")
    config.stash[_left_out] = {}


def in_ci() -> bool:
    """Whether nothing may be left out."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def needs_of(item: pytest.Item) -> list[str]:
    """Names of what a test needs, by its marks."""
    names: list[str] = []
    for marker, brought in NEEDED_BY_MARKER.items():
        if item.get_closest_marker(marker):
            names += brought
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            if name not in NEEDS:
                raise pytest.UsageError(f"{item.nodeid} needs {name!r}; known are {', '.join(NEEDS)}")
            names.append(name)
    return list(dict.fromkeys(names))


def _rank(item: pytest.Item) -> int:
    return max(
        (place for place, marker in enumerate(_ORDER, 1) if item.get_closest_marker(marker)), default=0
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow whatever starts a platform, bound its time, and put it behind the quick tests."""
    for item in items:
        markers = [marker for marker in _SLOW if item.get_closest_marker(marker)]
        if markers and not item.get_closest_marker("slow"):
            item.add_marker("slow")
        if markers and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(max(_TIMEOUT_S[marker] for marker in markers)))
    items.sort(key=_rank)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Take out, after `-m` and `-k` had their say, the tests whose needs are not met."""
    if session.config.option.collectonly:
        return
    kept, gone = [], []
    for item in session.items:
        name = _unmet(needs_of(item))
        if name is None or (in_ci() and NEEDS[name].possible()):
            kept.append(item)
            continue
        gone.append(item)
        suite = item.nodeid.partition("::")[0].rpartition("/")[0]
        counts = session.config.stash[_left_out]
        counts[suite, name] = counts.get((suite, name), 0) + 1
    if gone:
        session.config.hook.pytest_deselected(items=gone)
        session.items[:] = kept
        session.testscollected = len(kept)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Begin the suites of the rooms that were asked for."""
    if session.config.option.collectonly or session.testsfailed:
        return
    rooms = [
        str(item.callspec.params["room"])
        for item in session.items
        if isinstance(item, pytest.Function) and "suites" in item.fixturenames
    ]
    if rooms:
        session.config.stash[SUITES] = Suites(rooms)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nothing running of them."""
    if (suites := session.config.stash.get(SUITES, None)) is not None:
        suites.close()


def _unmet(names: Iterable[str]) -> str | None:
    """Give the need that keeps a test from running, before all others one that nothing could meet."""
    unmet = [name for name in names if missing(name) is not None]
    return min(unmet, key=lambda name: NEEDS[name].possible(), default=None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """In CI, let a test fail whose need is missing."""
    if in_ci() and (name := _unmet(needs_of(item))) is not None:
        need = NEEDS[name]
        pytest.fail(
            f"There is no {need.what}, and CI leaves nothing out. It comes with: {need.remedy}", pytrace=False
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, let a test fail that skips itself."""
    return _no_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In CI, let a module fail that skips itself."""
    return _no_skip((yield))


def _no_skip(report: Report) -> Report:
    if in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = (
            f"{why}\nCI leaves nothing out. Say what the test cannot do without by "
            "@pytest.mark.needs (cubehub_tests.needs) instead of skipping it."
        )
    return report


def tell_left_out(node: pytest.Item, what: str) -> None:
    """Name at the end what a test left out itself; pytest's own `record_property` warns wherever a JUnit file is written."""
    node.user_properties.append((_LEFT_OUT, what))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name each suite that was left out, why, and what brings it."""
    by_need: dict[str, list[str]] = defaultdict(list)
    for (suite, name), count in sorted(config.stash[_left_out].items()):
        by_need[name].append(f"{suite} ({count} test{'s' if count > 1 else ''})")
    lines = []
    for name, suites in by_need.items():
        need: Need = NEEDS[name]
        if need.possible():
            lines += [
                f"{', '.join(suites)}: there is no {need.what}.",
                f"    it comes with: {need.remedy}",
            ]
        else:
            lines.append(f"{', '.join(suites)}: not possible on this machine, there is no {need.what}.")
    for report in terminalreporter.getreports("passed"):
        lines += [f"{report.nodeid}: {what}" for key, what in report.user_properties if key == _LEFT_OUT]
    if lines:
        terminalreporter.section("left out on this machine", sep="=", yellow=True)
    for line in lines:
        terminalreporter.write_line(line)
