"""The one platform that all `whole` tests share, the people on it, and one Chromium with a window for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub_tests.chromium import Window, open_window, running_browser
from cubehub_tests.platform import running_whole
from cubehub_tests.servers import Account

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from cubehub_tests.platform import Whole
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def whole() -> Iterator[Whole]:
    """Give a platform that is up and healthy; when it goes, nothing of it may be left."""
    with running_whole() as platform:
        yield platform


@pytest.fixture(scope="session")
def ana(whole: Whole) -> Iterator[Account]:
    """Give the analyst with the Standard profile."""
    account = Account.login(whole, "ana")
    yield account
    account.close()


@pytest.fixture(scope="session")
def petra(whole: Whole) -> Iterator[Account]:
    """Give the analyst with the Premium profile."""
    account = Account.login(whole, "petra")
    yield account
    account.close()


@pytest.fixture(scope="session")
def viktor(whole: Whole) -> Iterator[Account]:
    """Give the viewer, who is in no group."""
    account = Account.login(whole, "viktor")
    yield account
    account.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give Chromium."""
    with running_browser() as found:
        yield found


_failed: pytest.StashKey[bool] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a failure, so that the window can keep a picture of it."""
    report = yield
    item.stash[_failed] = report.failed
    return report


@pytest.fixture
def window(browser: Browser, whole: Whole, request: pytest.FixtureRequest) -> Iterator[Window]:
    """Give a window with an empty profile; at its end nothing outside may have been asked for."""
    with open_window(browser, whole) as found:
        yield found
        if request.node.stash.get(_failed, False):
            found.picture(f"failed-{request.node.name}")
            print("the page's console:", *found.said, sep="\n")
