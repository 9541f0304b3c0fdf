"""What is going to be moved away is said in Lab: once for each notice of it."""

import asyncio
import contextlib

from cubehub_account.coming import EVERY_S, Coming, watch
from cubehub_account.hub_link import News
from cubehub_account.storage import StorageError


def one(path="scratch/old", notice=1, when="2027-03-01"):
    return {"path": path, "kind": "scratch", "reason": "", "bytes": 7, "when": when, "notice": notice}


def test_each_notice_is_said_once():
    coming = Coming()
    said = [
        coming.notice(noticed, "t")
        for noticed in ([], [one()], [one()], [one(notice=2)], [one(notice=2), one("b"), one("c")], [])
    ]
    assert [notice and notice["message"] for notice in said] == [
        None, "~/scratch/old will be moved away from 2027-03-01 on.", None,
        "Last notice: ~/scratch/old will be moved away from 2027-03-01 on.",
        "~/b and 1 more will be moved away from 2027-03-01 on.", None,
    ]  # fmt: skip
    assert len({notice["id"] for notice in said if notice}) == 3


def test_it_fits_a_corner_of_the_page_whatever_a_folder_is_called():
    notice = Coming().notice([one("x" * 5000, 2), one("", 1)], "t")
    assert len(f"{notice['message']} {notice['hint']}") < 140
    assert "your whole home" in Coming().notice([one("")], "t")["message"]


def test_a_service_that_is_away_says_nothing_and_is_asked_again():
    answers = [StorageError(502, "storage_down", "", ""), {"noticed": [one()]}, {"noticed": [one()]}]
    waits = []

    class Link:
        async def mine(self):
            answer = answers.pop(0)
            if isinstance(answer, StorageError):
                raise answer
            return answer

    async def wait(seconds):
        waits.append(seconds)
        if not answers:
            raise asyncio.CancelledError

    news = News()
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(watch(Link(), news, first_s=1, wait=wait))
    assert waits == [1, EVERY_S, EVERY_S, EVERY_S]
    assert [notice["code"] for notice in news.notices] == ["cleanup_coming"]
