"""What is done about servers that run; with a spawner whose limits are numbers, the real ones are tried elsewhere."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cubehub_spawner import Account, Profiles, Refusal
from cubehub_spawner._following import follow
from cubehub_spawner._mixin import EntitledSpawner
from cubehub_spawner.entitlement import grant_of
from cubehub_spawner.errors import NoRoomError, ResizeError
from cubehub_spawner.notices import Board
from jupyterhub.spawner import Spawner

GIB = 2**30
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PROFILES = Profiles.model_validate(
    {
        "profiles": {
            "standard": {
                "title": "Standard",
                "groups": ["/standard"],
                "memory": "5G",
                "cpu": 2,
                "storage": "1G",
            },
            "premium": {
                "title": "Premium",
                "groups": ["/premium"],
                "memory": "10G",
                "cpu": 4,
                "storage": "2G",
            },
        }
    }
)


class Numbers(EntitledSpawner, Spawner):
    """Holds its limit as a number."""

    limit = 0
    used: int | None = 0
    trouble: Exception | None = None

    async def start(self):
        return "127.0.0.1", 0

    async def stop(self, now=False):
        del now
        self.limit = 0

    async def poll(self):
        return None

    async def resize_server(self, memory_bytes, cpu):
        del cpu
        if self.trouble:
            raise self.trouble
        self.limit = memory_bytes

    async def memory_used(self):
        return self.used

    def limit_home(self):
        self.home_limit = self.granted_storage

    def get_state(self):
        return self.grant_state()


class Case:
    def __init__(self, folder, profile="standard"):
        self.spawner = Numbers(audit_log=str(folder / "audit.jsonl"))
        self.spawner.user = SimpleNamespace(
            name="ana", db=SimpleNamespace(commit=lambda: None), url="/user/ana/"
        )
        self.saved = []
        self.spawner.take(grant_of(PROFILES.profiles[profile]))
        self.spawner.limit = self.spawner.granted_bytes
        self.audit = folder / "audit.jsonl"
        self.stopped = []

    def follow(self, *groups, enabled=True, now=NOW, account=None):
        who = account or Account("ana", "id", enabled, frozenset(f"/{group}" for group in groups))

        async def stop(spawner):
            self.stopped.append(spawner.name)

        async def run():
            return await follow(
                [self.spawner],
                who,
                PROFILES,
                now=now,
                grace=timedelta(days=1),
                stop=stop,
                asked_by="accounts",
            )

        return asyncio.run(run())

    def said(self):
        return [(notice.level, notice.code) for notice in self.spawner.board.notices]

    def lines(self):
        return (
            [json.loads(line) for line in self.audit.read_text().splitlines()] if self.audit.exists() else []
        )


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_more_is_given_written_down_and_said_once(case):
    [done] = case.follow("premium")
    assert (done.kind, done.from_bytes, done.to_bytes) == ("resized", 5 * GIB, 10 * GIB)
    assert case.spawner.limit == case.spawner.granted_bytes == case.spawner.mem_limit == 10 * GIB
    assert case.spawner.home_limit == 2 * GIB, "of the home too"
    assert case.follow("premium") == []
    assert case.said() == [("info", "resized")]
    assert "10 GiB" in case.spawner.board.notices[0].message
    [line] = case.lines()
    assert (line["event"], line["asked_by"], line["memory_bytes"]) == ("resize", "accounts", 10 * GIB)


def test_no_room_is_said_once_and_tried_again(case):
    case.spawner.trouble = NoRoomError()
    [done] = case.follow("premium")
    assert (done.kind, done.code) == ("kept", "no_room")
    assert [one.kind for one in case.follow("premium")] == ["kept"]
    assert case.said() == [("warning", "no_room")]
    assert case.spawner.limit == case.spawner.granted_bytes == 5 * GIB
    case.spawner.trouble = None
    assert [one.kind for one in case.follow("premium")] == ["resized"]
    assert case.spawner.pending_grant is None


def test_what_cannot_be_written_down_is_not_given_but_taken(case):
    case.audit.mkdir()
    [done] = case.follow("premium")
    assert (done.kind, done.code) == ("kept", "audit_log")
    assert case.spawner.limit == 5 * GIB
    case.follow("premium", enabled=False)
    assert case.stopped == [""]


def test_less_is_announced_then_given_when_use_has_fallen(tmp_path):
    case = Case(tmp_path, "premium")
    case.spawner.used = 7 * GIB
    [done] = case.follow("standard")
    assert (done.kind, done.at) == ("announced", "2026-05-02T12:00:00+00:00")
    assert case.follow("standard") == []
    case.spawner.used = 4 * GIB
    assert [one.kind for one in case.follow("standard")] == ["resized"]
    assert case.spawner.limit == 5 * GIB
    assert case.said() == [("warning", "less_memory"), ("info", "resized")]


def test_what_is_to_come_stands_first_and_fits_where_pages_cut_it_off(tmp_path):
    case = Case(tmp_path, "premium")
    case.spawner.used = 7 * GIB
    case.follow("standard")
    other = Case(tmp_path)
    other.spawner.trouble = NoRoomError()
    other.follow("premium")
    cut, no_room = (one.spawner.board.notices[0] for one in (case, other))
    assert cut.message.startswith("This server will be stopped at 02 May 2026 12:00 UTC, unless it uses less")
    assert no_room.message.startswith("This server keeps its 5 GiB")
    assert max(len(cut.message), len(no_room.message)) <= 140


LENT = Account(
    "ana", "id", True, frozenset({"/premium"}), until=NOW + timedelta(weeks=2), until_profile="standard"
)


def test_the_end_of_a_lent_profile_is_told_with_it(case):
    [done] = case.follow(account=LENT)
    assert "profile Premium until 15 May 2026 12:00 UTC, then Standard)" in done.message
    assert len(done.message) <= 140
    assert case.follow(account=replace(LENT, until=None, until_profile=None)) == []
    case.follow("standard")
    assert "until" not in case.spawner.board.notices[-1].message


def test_what_a_lent_profile_ends_in_may_be_nothing_or_gone(case):
    [done] = case.follow(account=replace(LENT, until_profile=None))
    assert "then no profile" in done.message
    case.follow("standard")
    [done] = case.follow(account=replace(LENT, until_profile="gone"))
    assert "then gone" in done.message


def test_a_restarted_hub_knows_until_when_a_profile_is_lent(case):
    case.follow(account=LENT)
    other = Numbers()
    other.user = case.spawner.user
    other.load_grant_state(json.loads(json.dumps(case.spawner.get_state())))
    assert (other.account_seen.until, other.account_seen.until_profile) == (LENT.until, "standard")


def test_a_limit_that_use_has_passed_in_the_meantime_stays(tmp_path):
    case = Case(tmp_path, "premium")
    case.spawner.trouble = ResizeError()
    assert case.follow("standard") == []
    assert case.spawner.granted_bytes == 10 * GIB, "what it may use counts until it is taken"


def test_after_the_grace_period_it_is_stopped(tmp_path):
    case = Case(tmp_path, "premium")
    case.spawner.used = 7 * GIB
    case.follow("standard")
    [done] = case.follow("standard", now=NOW + timedelta(days=2))
    assert (done.kind, done.code) == ("stopped", "grace_over")
    assert case.stopped == [""]


def test_a_suspended_person_is_told_before_the_end(case):
    [done] = case.follow("standard", enabled=False)
    assert (done.kind, done.code) == ("stopped", "account_disabled")
    assert case.said() == [("error", "account_disabled")]
    assert case.lines()[-1]["outcome"] == "stopped"


def test_an_account_that_is_gone_ends_the_server(case):
    [done] = case.follow(account=Refusal("unknown_account", "Gone.", "Ask."))
    assert done.code == "unknown_account"
    assert case.stopped == [""]


def test_all_of_it_survives_a_restart_of_the_hub(case):
    case.spawner.trouble = NoRoomError()
    case.follow("premium")
    state = json.loads(json.dumps(case.spawner.get_state()))
    other = Numbers()
    other.user = case.spawner.user
    other.load_grant_state(state)
    assert other.grant_state() == state
    assert other.pending_grant == case.spawner.pending_grant
    assert other.board.after(0) == case.spawner.board.after(0)


def test_a_board_that_cannot_be_read_is_an_empty_one():
    for rubbish in (None, [], {"notices": [{"id": 1}]}, {"notices": 3, "last_id": "x"}):
        assert Board.from_state(rubbish).notices == []


def test_whoever_waits_is_woken_by_the_next_notice():
    async def wait():
        board = Board()
        changed = board.changed
        waiter = asyncio.create_task(changed.wait())
        await asyncio.sleep(0)
        notice = board.say(NOW, "info", "x", "Said.", "")
        await asyncio.wait_for(waiter, 5)
        assert board.after(0) == [notice]
        assert board.after(notice.id) == []
        assert not board.changed.is_set()

    asyncio.run(wait())


def test_only_the_latest_notices_are_kept():
    board = Board()
    for number in range(80):
        board.say(NOW, "info", "x", str(number), "")
    assert [notice.id for notice in board.notices] == list(range(31, 81))
