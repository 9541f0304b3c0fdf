"""Who is told what and when; that nothing which people made moves before; what they keep."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from cubehub.errors import BadInputError, CubeHubError
from cubehub.mail.settings import LANGUAGES
from cubehub.storage import scan as scanning
from cubehub.storage.deciding import Kept, Owner
from cubehub.storage.keeping import Keeping
from cubehub.storage.links import Links
from cubehub.storage.notices import record
from cubehub.storage.notices.texts import Item, Letter, write
from cubehub.storage.people import People, merge
from cubehub.storage.quarantine import Keeper
from cubehub.storage.results import Results
from cubehub.storage.settings import StorageSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

    from cubehub.storage.quarantine import Outcome

DAY = 86400
OLD = 1_700_000_000
START = 1_800_000_000.0
GIB = 2**30


class Platform:
    """A data folder with homes, a clock that is set by hand, people, and an outbox page for a mail server."""

    def __init__(self, root: Path, policy: str, mail: str = "server: page") -> None:
        self.homes, self.config = root / "homes", root / "config"
        for folder in (self.homes / "ana" / "scratch" / "old", self.config):
            folder.mkdir(parents=True)
        self.file = self.homes / "ana" / "scratch" / "old" / "a.nc"
        self.file.write_text("work")
        self.untouched()
        (self.config / "storage.yaml").write_text(policy)
        (self.config / "cubehub.yaml").write_text(f"mail: {{{mail}}}\n")
        self.at = START
        self._found: scanning.Scan | None = None
        self._state: list[tuple[str, float, float]] = []
        self.people: dict[str, Owner] | None = {
            "ana": Owner("ana", "ana@example.org", "cs", "standard", 10 * GIB)
        }
        made = StorageSettings(
            data=root, homes=self.homes, state=root / "state", audit_log=root / "audit.jsonl", config=self.config,
            public_url="https://hub.example.org", links_secret="s",
        )  # type: ignore[arg-type]  # fmt: skip
        self.keeping = Keeping(made, now=lambda: self.at)
        self.keeping.owners = lambda: self.people  # type: ignore[method-assign]

    def untouched(self) -> None:
        os.utime(self.file, (OLD, OLD))

    def scan(self) -> None:
        """Look at the homes; where nothing has changed, what was found is still so."""
        state = [(str(p), p.lstat().st_atime, p.lstat().st_mtime) for p in sorted(self.homes.rglob("*"))]
        if self._found is None or state != self._state:
            self._found, self._state = scanning.scan(self.homes, processes=1, scratch=[b"scratch"]), state
        found = self._found
        found.started = found.ended = self.at
        Results(self.keeping.settings.state).add(found)

    def day(self) -> None:
        """What a round does, but for moving."""
        self.scan()
        self.keeping.tell()
        asyncio.run(self.keeping.send())

    def mails(self) -> list[str]:
        with record.opened(self.keeping.settings.state) as told:
            return [m.topic.removeprefix("storage-") for m in told.outbox.newest() if m.sent][::-1]

    def apply(self) -> list[Outcome]:
        entries = self.keeping.plan().entries
        waiting = self.keeping.waiting(entries)
        with self.keeping.keeper() as (keeper, made):
            run = made.begin_run(str(self.homes), "", self.at)
            return [self.keeping.move(keeper, run, e, waiting) for e in entries]


POLICY = "preset: 'off'\nscratch: 30d\n"


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path, POLICY)


@pytest.mark.parametrize("missing", ["links_secret", "public_url"])
def test_nobody_is_written_to_with_links_that_anybody_can_make(platform: Platform, missing: str) -> None:
    keeping = platform.keeping
    keeping.settings = keeping.settings.model_copy(
        update={missing: type(getattr(keeping.settings, missing))("")}
    )
    platform.scan()
    with pytest.raises(BadInputError, match=missing):
        keeping.tell()
    assert platform.mails() == []


def test_two_mails_and_two_weeks_come_before(platform: Platform) -> None:
    moved = None
    for day in range(20):
        platform.at = START + day * DAY
        platform.day()
        (done,) = platform.apply()
        if not done.why:
            moved = day
            break
        assert platform.file.exists()
    assert moved == 14
    assert platform.mails() == ["first", "second"]
    assert not platform.file.exists()
    platform.day()
    with record.opened(platform.keeping.settings.state) as told:
        assert told.open_ones() == []


def test_what_a_mail_said_holds_though_notices_are_shorter_by_now(platform: Platform) -> None:
    platform.day()
    (platform.config / "storage.yaml").write_text(f"{POLICY}notices: {{first: 2d, second: 1d}}\n")
    platform.keeping.policy = platform.keeping.settings.policy()
    moved = None
    for day in range(1, 20):
        platform.at = START + day * DAY
        platform.day()
        (done,) = platform.apply()
        if not done.why:
            moved = day
            break
    assert moved == 14, "the first mail said: not before this day"
    with record.opened(platform.keeping.settings.state) as told:
        (second,) = [m for m in told.outbox.newest() if m.topic.endswith("second")]
    assert second.made == START + 13 * DAY
    assert time.strftime("%Y-%m-%d", time.gmtime(START + 14 * DAY)) in second.body


def test_a_mail_server_that_is_down_gives_people_that_time_more(tmp_path: Path) -> None:
    platform = Platform(tmp_path, POLICY, mail="server: ''")
    for day in range(5):
        platform.at = START + day * DAY
        platform.day()
        assert "did not go out" in platform.apply()[0].why
    (platform.config / "cubehub.yaml").write_text("mail: {server: page}\n")
    days = []
    for day in range(5, 30):
        platform.at = START + day * DAY
        platform.day()
        if not platform.apply()[0].why:
            days.append(day)
            break
    assert days == [19], "two weeks from the day on which the first mail went out"
    assert platform.mails() == ["first", "second"]


def test_what_is_used_meanwhile_stays_and_is_told_anew_later(platform: Platform) -> None:
    platform.day()
    platform.at += 10 * DAY
    os.utime(platform.file, (platform.at, platform.at))
    platform.day()
    assert platform.keeping.plan().entries == []
    platform.at += 31 * DAY
    platform.day()
    assert platform.mails() == ["first", "first"]
    assert "once only" in platform.apply()[0].why


def test_another_one_of_the_same_name_was_not_told_of(platform: Platform) -> None:
    for day in (0, 11, 14):
        platform.at = START + day * DAY
        platform.day()
    (platform.homes / "ana" / "scratch" / "old").rename(platform.homes / "ana" / "mine")
    again = platform.homes / "ana" / "scratch" / "old"
    again.mkdir()
    (again / "a.nc").write_text("other")
    os.utime(again / "a.nc", (OLD, OLD))
    platform.scan()
    assert "was not told" in platform.apply()[0].why


@pytest.mark.parametrize("when", [1, 12])
def test_what_its_owner_keeps_stays_until_then(platform: Platform, when: int) -> None:
    platform.day()
    if when > 11:
        platform.at = START + 11 * DAY
        platform.day()
    platform.at = START + when * DAY
    with record.opened(platform.keeping.settings.state) as told:
        told.keep(Kept(b"ana", b"scratch/old", platform.at + 90 * DAY, "you"), "ana", platform.at)
        assert told.open_ones() == []
    platform.at = START + 20 * DAY
    platform.day()
    assert platform.keeping.plan().entries == []
    platform.at = START + 100 * DAY + when * DAY
    platform.day()
    assert platform.mails()[-1] == "first", "and then from the beginning"
    assert "once only" in platform.apply()[0].why


def test_a_keep_between_the_plan_and_its_application_counts(platform: Platform) -> None:
    for day in (0, 11, 14):
        platform.at = START + day * DAY
        platform.day()
    entries = platform.keeping.plan().entries
    with record.opened(platform.keeping.settings.state) as told:
        told.keep(Kept(b"ana", b"", platform.at + DAY, "admin"), "root", platform.at)
    assert set(platform.keeping.waiting(entries).values()) == {"its owner keeps it"}


def test_a_keep_while_a_run_goes_on_counts_and_for_caches_too(platform: Platform) -> None:
    for day in (0, 11, 14):
        platform.at = START + day * DAY
        platform.day()
    entries = platform.keeping.plan().entries
    entries.append(replace(entries[0], kind="pip", path=b"scratch"))
    waiting = platform.keeping.waiting(entries)
    assert waiting == {}
    with record.opened(platform.keeping.settings.state) as told:
        told.keep(Kept(b"ana", b"", platform.at + DAY, "you"), "ana", platform.at)
    with platform.keeping.keeper() as (keeper, made):
        run = made.begin_run(str(platform.homes), "", platform.at)
        done = [platform.keeping.move(keeper, run, e, waiting) for e in entries]
    assert {o.why for o in done} == {"its owner keeps it"}
    assert set(platform.keeping.waiting(entries).values()) == {"its owner keeps it"}


def test_a_keep_while_the_thing_is_looked_through_counts_too(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (0, 11, 14):
        platform.at = START + day * DAY
        platform.day()

    real = Keeper.account_of

    def keep(keeper: Keeper, home: bytes) -> str | None:
        with record.opened(platform.keeping.settings.state) as told:
            told.keep(Kept(b"ana", b"", platform.at + DAY, "you"), "ana", platform.at)
        return real(keeper, home)

    # asked for after all of it was looked through, right before it is moved
    monkeypatch.setattr(Keeper, "account_of", keep)
    assert [o.why for o in platform.apply()] == ["its owner keeps it"]
    assert platform.file.exists()


def test_a_home_whose_owner_is_here_by_now_is_not_moved_by_an_older_plan(tmp_path: Path) -> None:
    platform = Platform(tmp_path, "preset: 'off'\nidle: 30d\n")
    for day in (0, 11, 14):
        platform.at = START + day * DAY
        platform.day()
    entries = platform.keeping.plan().entries
    assert [e.kind for e in entries] == ["idle"]
    assert platform.keeping.waiting(entries) == {}
    assert platform.people is not None
    ana, waits = platform.people["ana"], platform.keeping.waiting
    platform.people["ana"] = replace(ana, running=True)
    assert set(waits(entries).values()) == {"a server of its owner runs"}
    platform.people["ana"] = replace(ana, last_seen=platform.at)
    assert set(waits(entries).values()) == {"its owner was here since"}
    platform.people = None
    assert "nobody can tell" in str(waits(entries))


def test_nobody_is_told_and_nothing_moves_while_nobody_knows_whose_homes_are(platform: Platform) -> None:
    platform.people = None
    platform.day()
    assert platform.mails() == []
    assert platform.keeping.plan().entries == []
    assert platform.keeping.plan().known.people


def test_a_home_without_an_address_stays_unless_the_operator_is_told(platform: Platform) -> None:
    platform.people = {"ana": Owner("ana", None, "", "standard", 1)}
    for day in range(0, 20, 2):
        platform.at = START + day * DAY
        platform.day()
    assert platform.mails() == []
    assert "did not go out" in platform.apply()[0].why
    (platform.config / "cubehub.yaml").write_text("mail: {server: page, operator: ops@example.org}\n")
    for day in range(20, 36, 1):
        platform.at = START + day * DAY
        platform.day()
    assert platform.mails() == ["first", "second"]
    assert platform.apply()[0].why == ""


def test_a_mail_lists_what_it_is_about_in_the_readers_language(platform: Platform) -> None:
    platform.day()
    with record.opened(platform.keeping.settings.state) as told:
        (mail,) = told.outbox.newest()
    assert mail.language == "cs"
    assert "~/scratch/old" in mail.body
    assert "odloženo" in mail.subject
    links = Links("https://hub.example.org/services/storage", "s")
    assert links.keep(mail.id) in mail.body


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["day", "use", "keep", "down", "up", "unknown", "known", "apply"]), max_size=40)
)
def test_whatever_happens_nothing_moves_unannounced(
    tmp_path_factory: pytest.TempPathFactory, events: list[str]
) -> None:
    platform = Platform(tmp_path_factory.mktemp("p"), POLICY)
    owners = platform.people
    sent: list[float] = []
    for event in events:
        platform.at += DAY
        before = len(platform.mails())
        if event == "day":
            platform.day()
        elif event == "use" and platform.file.exists():
            os.utime(platform.file, (platform.at - 40 * DAY, platform.at - 40 * DAY))
        elif event == "keep":
            with record.opened(platform.keeping.settings.state) as told:
                told.keep(Kept(b"ana", b"scratch", platform.at + 5 * DAY, "you"), "ana", platform.at)
            sent = []
        elif event in {"down", "up"}:
            server = "page" if event == "up" else "''"
            (platform.config / "cubehub.yaml").write_text(f"mail: {{server: {server}}}\n")
        elif event in {"unknown", "known"}:
            platform.people = owners if event == "known" else None
        elif event == "apply":
            try:
                done = platform.apply()
            except BadInputError:  # nobody has looked at the homes yet
                continue
            if done and not done[0].why:
                assert len(sent) >= 2, events
                assert platform.at - sent[-2] >= 14 * DAY
                assert platform.at - sent[-1] >= 3 * DAY
                return
        sent += [platform.at] * (len(platform.mails()) - before)


# Texts, links, people

AWKWARD = Item("a%0Ab/{{ 7 * 7 }}", "scratch", GIB, OLD)


@pytest.mark.parametrize("language", [*LANGUAGES, "xx"])
@pytest.mark.parametrize("topic", ["storage-first", "storage-second", "storage-moved", "storage-full"])
def test_every_text_in_every_language(topic: str, language: str) -> None:
    items = [AWKWARD, Item("", "idle", 5 * GIB, 0), *[Item(f"x{n}", "large", 1, 0) for n in range(40)]]
    letter = Letter(
        topic, "CubeHub", "ana", START, items, "https://h/keep/1", "https://h/un/1", True, 85, "10 GiB"
    )
    subject, body = write(letter, language)
    assert "\n" not in subject
    assert "CubeHub" in subject
    assert "https://h/keep/1" in body
    assert ("https://h/un/1" in body) == (topic in {"storage-moved", "storage-full"})
    if topic != "storage-full":
        assert "{{ 7 * 7 }}" in body, "names are no templates"
        assert "2027-01-15" in subject + body
        assert body.count("\n* ") == 31, "so many that nobody reads them are counted"
    told_instead = write(replace(letter, operator=True), language)
    assert told_instead[0] == f"[ana] {subject}"
    assert told_instead[1].endswith(f"\n\n{body}")
    assert "ana" in told_instead[1].removesuffix(body)
    first = write(letter, "en")
    assert (subject, body) == first if language in {"en", "xx"} else (subject, body) != first


@given(st.text(max_size=80))
def test_only_links_of_ours_are_taken(text: str) -> None:
    links = Links("https://h", "secret")
    assert links.read("keep", text) is None


def test_a_link_is_for_one_mail_and_one_thing() -> None:
    links = Links("https://h", "secret")
    token = links.keep(7).rpartition("/")[2]
    assert links.read("keep", token) == 7
    assert links.read("unsubscribe", token) is None
    assert links.read("keep", token.replace("7.", "8.", 1)) is None
    assert Links("https://h", "other").read("keep", token) is None


def test_people_of_keycloak_and_of_the_hub_come_together() -> None:
    accounts = [{"name": "Ana", "email": "a@x", "language": "et", "profile": "standard"}, {"name": "ben"}]
    hub = [
        {"name": "ana", "last_activity": "2027-01-15T08:00:00Z", "servers": {"": {}}},
        {"name": "left", "last_activity": None, "servers": {}},
    ]
    found = {o.username: o for o in merge(accounts, hub, {"standard": 5}).values()}
    assert found["Ana"] == Owner("Ana", "a@x", "et", "standard", 5, 1_800_000_000.0, running=True)
    assert found["ben"] == Owner("ben")
    assert found["left"].email is None


LIES = [
    httpx.Response(200, json={"users": [], "more": False}),
    httpx.Response(200, json={"users": [], "more": True}),
    httpx.Response(200, json={"users": [{"name": "ana"}], "more": True}),
    httpx.Response(200, json={"users": {"name": "ana"}, "more": False}),
    httpx.Response(200, json={"users": [{"name": "ana"}], "more": "no"}),
    httpx.Response(200, json=[]),
    httpx.Response(200, json=None),
]
"""What would make homes nobody's, or have one ask for ever."""


def test_everybody_is_asked_for_page_by_page_and_a_half_answer_is_none() -> None:
    names = [f"u{n}" for n in range(250)]

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "token t"
        query = request.url.params
        if request.url.path == "/accounts/users":
            first = int(query["first"])
            page = names[first : first + 100]
            users = [{"name": n, "profile": None} for n in page]
            return httpx.Response(200, json={"users": users, "more": first + 100 < len(names)})
        first = int(query["offset"])
        return httpx.Response(200, json=[{"name": n, "servers": {"": {}}} for n in names[first : first + 60]])

    people = People("http://h/api", "http://h/accounts", "t", transport=httpx.MockTransport(answer))
    assert {o.username for o in people.owners({}).values() if o.running} == set(names), (
        "a Hub may give fewer at once than asked for"
    )
    for broken in (httpx.Response(500), httpx.Response(200, text="<html>"), httpx.Response(200, json={"users": [{}], "more": False}), *LIES):  # fmt: skip
        people = People(
            "http://h/api", "http://h/accounts", "t", transport=httpx.MockTransport(lambda _, b=broken: b)
        )
        with pytest.raises(CubeHubError, match="Nobody can tell"):
            people.owners({})


def test_a_record_of_another_version_or_a_damaged_one_stops_all(platform: Platform) -> None:
    platform.day()
    file = platform.keeping.settings.state / record.FILE
    file.write_bytes(b"rubbish" * 1000)
    with pytest.raises(CubeHubError, match="cannot be used"):
        platform.apply()
    assert platform.file.exists()
