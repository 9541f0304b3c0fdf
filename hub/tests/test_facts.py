"""What the Hub tells a server about itself."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from cubehub.entitlements.answers import facts
from cubehub_spawner import Account
from cubehub_spawner.running import Pending

AT = datetime(2026, 12, 1, tzinfo=UTC)
TITLES = {"standard": "Standard", None: "no profile"}


def server(pending=None, until=None, back="standard"):
    seen = Account("ana", "1", enabled=True, groups=frozenset(), until=until, until_profile=back)
    return SimpleNamespace(
        granted_profile="premium",
        granted_title="Premium",
        granted_bytes=10,
        granted_storage=7,
        pending_grant=pending,
        account_seen=seen,
    )


@pytest.mark.parametrize(
    ("pending", "coming"),
    [
        (None, None),
        (
            Pending("standard", 5, AT),
            {"at": "2026-12-01T00:00:00+00:00", "memory_bytes": 5, "title": "Standard"},
        ),
        (Pending("standard", 50, None), {"at": None, "memory_bytes": 50, "title": "Standard"}),
        (Pending("", 0, AT), {"at": "2026-12-01T00:00:00+00:00", "memory_bytes": 0, "title": ""}),
    ],
)
def test_what_is_coming(pending, coming):
    assert facts(server(pending), TITLES.__getitem__)["coming"] == coming


def test_until_when_a_profile_is_lent():
    found = facts(server(until=AT), TITLES.__getitem__)["until"]
    assert found == {"at": "2026-12-01T00:00:00+00:00", "title": "Standard"}
    assert facts(server(until=AT, back=None), TITLES.__getitem__)["until"]["title"] == "no profile"
    assert facts(server(), TITLES.__getitem__)["until"] is None
    assert facts(server(until=AT, back="premium"), TITLES.__getitem__)["until"] is None, "nothing changes"
    nobody = server()
    nobody.account_seen = None
    assert facts(nobody, TITLES.__getitem__)["until"] is None
