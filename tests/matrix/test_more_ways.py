"""Ways that need two people, or a change of the groups themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from cubehub_tests.realm import realm
from cubehub_tests.servers import Account, ServerRefusedError

if TYPE_CHECKING:
    from cubehub_tests.platform import Whole

pytestmark = [pytest.mark.whole, pytest.mark.matrix]


def test_a_group_that_was_renamed_grants_nothing_until_it_has_its_name_again(
    whole: Whole, petra: Account
) -> None:
    petra.stop()
    with realm(whole) as api:
        group = api.group("/cubehub/premium")
        api.put(f"groups/{group['id']}", group | {"name": "deluxe"})
        try:
            with pytest.raises(ServerRefusedError, match="no group that grants"):
                petra.start()
        finally:
            api.put(f"groups/{group['id']}", group)
    petra.start()
    petra.stop()


def test_whom_a_server_is_shared_with_gets_into_it_and_starts_none(
    whole: Whole, ana: Account, viktor: Account
) -> None:
    """The server stays its owner's: nobody's group but hers counts, and who shares it starts nothing."""
    ana.start()
    offered = ana.api.post("/hub/api/shares/ana/", json={"user": "viktor"})
    assert offered.status_code in {403, 404}, "people may not share by themselves"
    admin = Account.login(whole, "adam")
    try:
        shared = admin.api.post("/hub/api/shares/ana/", json={"user": "viktor"})
        assert shared.status_code == httpx.codes.OK, shared.text
        ana.stop()
        for path in ("server", "servers/extra"):
            tried = viktor.api.post(f"/hub/api/users/ana/{path}", json={"profile": "premium"})
            assert tried.status_code in {403, 404}
        assert not ana.model["servers"]
        with pytest.raises(ServerRefusedError, match="no group that grants"):
            viktor.start()
        admin.api.delete("/hub/api/shares/ana/")
    finally:
        admin.close()
