"""The one platform that all `whole` tests share, and the people on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub_tests.platform import running_whole
from cubehub_tests.servers import Account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_tests.platform import Whole


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
