"""Rounds from end to end, what stops them, and erasure: with a clock that is set by hand."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
import tarfile
import time
from typing import TYPE_CHECKING

import pytest
import zstandard
from click.testing import CliRunner
from cubehub.cli import load_commands
from cubehub.errors import CubeHubError
from cubehub.local.data_folder import DataFolder, write_json
from cubehub.storage import checkup, erasing, journal, rounds
from cubehub.storage.deciding import Owner
from cubehub.storage.keeping import Keeping
from cubehub.storage.notices import record
from cubehub.storage.notices.telling import level_of
from cubehub.storage.rounds import DONE, FAILED, History, PausedError, make_round
from cubehub.storage.service.access import visitor
from cubehub.storage.service.schedule import Schedule
from cubehub.storage.settings import StorageSettings, settings_of
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400
OLD = 1_700_000_000
START = 1_800_000_000.0
MIB = 2**20
POLICY = """
preset: university
scratch: 10d
idle: off
automatic: true
hold: 5d
most_of_home: 100
most_of_platform: 100
notices: {{first: 4d, second: 1d}}
archive: {{to: {store}, keep: 30d}}
"""


class Platform:
    """A data folder with one home that has a cache and something in scratch."""

    def __init__(self, root: Path) -> None:
        self.data = DataFolder(root / "data")
        self.data.prepare()
        config = root / "config"
        config.mkdir()
        (config / "storage.yaml").write_text(POLICY.format(store=root / "store"))
        (config / "cubehub.yaml").write_text("mail: {server: page}\n")
        self.home = self.data.homes / "ana"
        for name, size in (
            (".cache/pip/wheel", 10_000),
            ("scratch/run/a.nc", 20_000),
            ("work/kept.ipynb", 30_000),
        ):
            file = self.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(os.urandom(size))
            os.utime(file, (OLD, OLD))
        (self.data.homes / ".ana.account").write_text("id-of-ana")
        self.settings = StorageSettings(
            data=self.data.root, homes=self.data.homes, state=self.data.storage, audit_log=root / "audit.jsonl",
            config=config, public_url="https://h", links_secret="s",
        )  # type: ignore[arg-type]  # fmt: skip
        self.at = START
        self.owner = Owner("ana", "ana@example.org", "et", "standard", 10 * MIB)
        self.store = root / "store"

    @property
    def keeping(self) -> Keeping:
        made = Keeping(self.settings, now=lambda: self.at, who="test")
        made.owners = lambda: {"ana": self.owner}  # type: ignore[method-assign]
        return made

    def round(self, days: float = 0) -> dict[str, object]:
        self.at += days * DAY
        return make_round(self.keeping, "test", lambda *_: None).told

    def topics(self) -> list[str]:
        with record.opened(self.settings.state) as told:
            return [m.topic.removeprefix("storage-") for m in told.outbox.newest()][::-1]

    def states(self) -> dict[str, str]:
        found = journal.read(self.settings.state, *journal.STATES)
        return {m.path.decode(): m.state for m in found}


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path)


def test_the_loop_is_closed(platform: Platform) -> None:
    first = platform.round()
    assert (first["homes"], first["moved"]) == (1, 1), "the cache, which nobody is asked about"
    assert platform.topics() == ["first"]
    assert platform.states() == {".cache/pip": "quarantined"}
    platform.round(3)
    assert platform.topics() == ["first", "second"]
    assert platform.round(1)["moved"] == 1
    assert platform.states()["scratch/run"] == "archived"
    assert platform.topics() == ["first", "second", "moved"]
    assert platform.round(5)["purged"] == 2
    assert platform.states() == {".cache/pip": "purged", "scratch/run": "purged"}
    assert len(list(platform.store.glob("[!.]*"))) == 2
    assert platform.round(29)["expired"] == 0
    assert platform.round(2)["expired"] == 1
    assert list(platform.store.glob("[!.]*")) == []
    assert (platform.home / "work" / "kept.ipynb").exists()
    lines = [json.loads(line) for line in (platform.settings.audit_log).read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        "storage_quarantine", "storage_quarantine", "storage_purge", "storage_expire",
    ]  # fmt: skip
    assert all(one.outcome == DONE for one in History(platform.settings.state).newest())


def test_a_round_that_moves_much_waits_for_somebody(platform: Platform) -> None:
    text = (platform.settings.config / "storage.yaml").read_text()  # type: ignore[operator]
    (platform.settings.config / "storage.yaml").write_text(
        text.replace("most_of_home: 100", "most_of_home: 1")
    )  # type: ignore[operator]
    told = platform.round()
    assert "somebody has to look" in str(told["left"])
    assert platform.states() == {}


def test_two_rounds_never_run_and_a_pause_stops_them(platform: Platform) -> None:
    lock = os.open(platform.settings.state / rounds.LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert rounds.progress(platform.settings.state) is None
    with pytest.raises(CubeHubError, match="Another round"):
        platform.round()
    os.close(lock)
    rounds.pause(platform.settings.state, "adam", "disk is being changed", START)
    with pytest.raises(PausedError, match="adam: disk"):
        platform.round()
    (platform.settings.state / rounds.PAUSED).write_text("{rubbish")
    with pytest.raises(PausedError, match="somebody"):
        platform.round()
    assert rounds.resume(platform.settings.state)
    assert platform.round()["homes"] == 1


def test_a_pause_in_a_round_ends_it_before_its_next_step(platform: Platform) -> None:
    def report(step: str, *_: int) -> None:
        if step == "telling people":
            rounds.pause(platform.settings.state, "adam", "", START)

    with pytest.raises(PausedError):
        make_round(platform.keeping, "test", report)
    assert platform.states() == {}
    (one,) = History(platform.settings.state).newest()
    assert (one.outcome, "adam" in one.told["failed"]) == (FAILED, True)


def test_a_store_that_is_away_costs_nothing_and_is_told(platform: Platform) -> None:
    for days in (0, 3):
        platform.round(days)
    platform.store.chmod(0o777)  # others get in: it is refused
    with pytest.raises(CubeHubError, match="Others than the keeper"):
        platform.round(1)
    assert platform.states()["scratch/run"] == "quarantined"
    platform.store.chmod(0o700)
    platform.round(10)
    assert platform.states()["scratch/run"] in {"archived", "purged"}


def test_a_round_that_is_killed_is_gone_on_with(platform: Platform) -> None:
    """At the step before something is moved, in a process of its own."""
    child = os.fork()
    if not child:
        make_round(platform.keeping, "test", lambda step, *_: os._exit(9) if step == "moving" else None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert rounds.progress(platform.settings.state) is None, "nobody holds the lock any more"
    assert platform.round()["moved"] == 1
    first, second = History(platform.settings.state).newest()[::-1]
    assert (first.outcome, second.outcome) == ("running", DONE)


# How full a home is


@given(st.lists(st.integers(0, 130), max_size=30))
def test_nobody_is_written_to_twice_about_the_same_level(per_cents: list[int]) -> None:
    level, told = 0, []
    for per_cent in per_cents:
        new = level_of(per_cent, 100, level)
        if new > level:
            told.append(new)
        if new == 0:
            told.clear()
        assert told == sorted(set(told))
        assert (new == 95) == (per_cent >= 95 or (level == 95 and per_cent >= 75))
        level = new


def test_a_home_that_fills_up_is_written_about_once_for_each_level(platform: Platform) -> None:
    platform.owner = Owner("ana", "ana@example.org", "en", "standard", 100_000)
    size = (
        sum(f.stat().st_blocks * 512 for f in platform.home.rglob("*")) + platform.home.stat().st_blocks * 512
    )
    for share, wanted in (
        (0.5, []),
        (0.82, ["full"]),
        (0.83, ["full"]),
        (0.97, ["full", "full"]),
        (0.5, ["full"] * 2),
    ):
        platform.owner = Owner("ana", "ana@example.org", "en", "standard", int(size / share))
        keeping = platform.keeping
        if not (platform.settings.state / "storage.sqlite").exists():
            rounds._Steps(keeping, {}, lambda *_: None)._scan(0, 1)
        keeping.tell()
        assert [t for t in platform.topics() if t == "full"] == wanted
    with record.opened(platform.settings.state) as told:
        mail = next(m for m in told.outbox.newest() if m.topic == "storage-full")
        assert mail.unsubscribe in mail.body
        told.outbox.unsubscribe("ana", "storage-full")
    platform.owner = Owner("ana", "ana@example.org", "en", "standard", int(size / 0.97))
    platform.keeping.tell()
    assert platform.topics().count("full") == 2, "who wants no more gets no more"


# Erasure and export


def erase(platform: Platform, *, archived: bool) -> erasing.Receipt:
    keeping = platform.keeping
    with keeping.keeper() as (keeper, made), keeping.archivist(keeper, made) as archivist:
        done = erasing.begin(keeping, keeper, made, b"ana")
        assert done.why == ""
        assert not platform.home.exists()
        assert archived == bool(journal.read(platform.settings.state, "archived", "purged"))
        return erasing.finish(keeping, keeper, archivist, made, b"ana", "id-of-ana")


def test_an_erasure_leaves_nothing_and_gives_a_receipt(platform: Platform) -> None:
    for days in (0, 3, 1):
        platform.round(days)
    receipt = erase(platform, archived=True)
    assert receipt.left == []
    assert {one["path"] for one in receipt.removed} == {".", "scratch/run", ".cache/pip"}
    assert receipt.mails == 3
    assert list(platform.store.glob("[!.]*")) == []
    assert not any(m.restorable for m in journal.read(platform.settings.state, *journal.STATES))
    left = [p.name for p in (platform.data.homes / ".cubehub-quarantine").iterdir()]
    assert left == [".number"], "the last number that was given, and nothing of anybody"
    assert platform.topics() == []
    kept = json.loads(next((platform.settings.state / erasing.RECEIPTS).iterdir()).read_text())
    assert kept["asked_by"] == "test"
    assert kept["elsewhere"]


def test_an_erasure_waits_for_the_hold_and_can_be_taken_back(platform: Platform) -> None:
    keeping = platform.keeping
    (platform.home / ".cubehub-keep").touch()
    with keeping.keeper() as (keeper, made):
        assert erasing.begin(keeping, keeper, made, b"ana").why == ""
        assert erasing.due(keeping, made) == []
        assert keeping.to_purge(made) == []
    platform.at += 4 * DAY
    with keeping.keeper() as (keeper, made):
        assert erasing.due(keeping, made) == []
        assert keeper.put_back(made.moves("quarantined")[0]).why == ""
    assert (platform.home / "work" / "kept.ipynb").exists()
    with keeping.keeper() as (keeper, made):
        erasing.begin(keeping, keeper, made, b"ana")
    platform.round(6)
    assert not any(m.restorable for m in journal.read(platform.settings.state, *journal.STATES))
    assert "storage_erased" in platform.settings.audit_log.read_text()


def test_an_erasure_takes_nothing_of_another_account_of_the_name(platform: Platform) -> None:
    platform.round()
    (platform.data.homes / ".ana.account").write_text("somebody-new")
    keeping = platform.keeping
    with keeping.keeper() as (keeper, made), keeping.archivist(keeper, made) as archivist:
        receipt = erasing.finish(keeping, keeper, archivist, made, b"ana", "somebody-new")
    assert receipt.removed == []
    assert platform.states() == {".cache/pip": "quarantined"}


def test_an_export_is_whole_and_replaces_nothing(platform: Platform, tmp_path: Path) -> None:
    platform.round()
    to = tmp_path / "out"
    to.mkdir()
    files = erasing.export(platform.keeping, b"ana", to, {"name": "ana", "email": "ana@example.org"})
    assert [f.name for f in files] == ["ana.tar.zst", "ana.jsonl.zst", "ana.json"]
    assert all(f.stat().st_mode & 0o777 == 0o600 for f in files)
    about = json.loads(files[2].read_text())
    assert about["account"]["email"] == "ana@example.org"
    assert [m["path"] for m in about["moved"]] == [".cache/pip"]
    assert len(about["mails"]) == 1
    with (
        files[0].open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed) as text,
        tarfile.open(fileobj=text, mode="r|") as archive,
    ):
        names = {member.name for member in archive}
    assert {"ana/work/kept.ipynb", "ana/scratch/run/a.nc"} <= names
    with pytest.raises(CubeHubError, match="there already"):
        erasing.export(platform.keeping, b"ana", to, {"name": "ana"})
    with pytest.raises(CubeHubError, match="no home"):
        erasing.export(platform.keeping, b"ben", to, {"name": "ben"})
    assert {f.name for f in to.iterdir()} == {f.name for f in files}


# The schedule, and who may what


def test_a_round_is_due_a_day_after_the_last_began_and_not_at_once_after_a_start(platform: Platform) -> None:
    schedule = Schedule(platform.settings, now=lambda: platform.at)
    assert not schedule.is_due()
    platform.at += 700
    assert schedule.is_due()
    platform.round()
    assert not schedule.is_due()
    platform.at += DAY
    assert schedule.is_due()
    rounds.pause(platform.settings.state, "adam", "", START)
    assert not schedule.is_due()


def test_a_mail_that_did_not_go_is_tried_again_between_rounds_and_by_one_sender(platform: Platform) -> None:
    config = platform.settings.config
    assert config is not None
    (config / "cubehub.yaml").write_text("mail: {server: 127.0.0.1, port: 1, security: none}\n")
    told = platform.round()
    assert (told["sent"], told["mails_waiting"]) == (0, 1)
    schedule = Schedule(platform.settings, now=lambda: platform.at)
    (config / "cubehub.yaml").write_text("mail: {server: page}\n")

    def sent() -> list[str]:
        with record.opened(platform.settings.state) as told:
            return [m.state for m in told.outbox.newest()]

    schedule.send()
    assert sent() == ["waiting"], "not at once again"
    platform.at += 3600
    lock = os.open(platform.settings.state / "mail.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    schedule.send()
    assert sent() == ["waiting"]
    os.close(lock)
    schedule.send()
    assert sent() == ["sent"]


def test_a_round_begun_by_hand_is_a_process_and_two_are_refused(platform: Platform) -> None:
    async def act() -> None:
        schedule = Schedule(platform.settings, [sys.executable, "-c", "import time; time.sleep(30)"])
        schedule.begin("adam")
        await asyncio.sleep(0.1)
        with pytest.raises(CubeHubError, match="just now"):
            schedule.begin("eva")
        running = asyncio.create_task(schedule.run())
        await asyncio.sleep(0.1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not schedule.is_running or schedule._process.returncode is not None  # type: ignore[union-attr]

    asyncio.run(act())


@pytest.mark.parametrize(
    ("model", "allowed", "administrator"),
    [
        ({"name": "ana", "kind": "user", "scopes": ["access:services!service=storage"]}, True, False),
        ({"name": "ana", "kind": "user", "scopes": ["access:services"]}, True, False),
        ({"name": "ana", "kind": "user", "scopes": ["access:services!service=cubes"]}, False, False),
        ({"name": "ana", "kind": "user", "scopes": ["custom:cubehub:users!user=ana"]}, False, False),
        ({"name": "", "kind": "user", "scopes": ["access:services"]}, False, False),
        ({"name": "x", "kind": "service", "scopes": ["access:services"]}, True, False),
        ({"name": "x"}, False, False),
    ],
)
def test_who_may_come_in(model: dict[str, object], allowed: bool, administrator: bool) -> None:
    found = visitor(model)
    assert (found is not None) == allowed
    if found is not None:
        assert found.administrator == administrator
        assert (found.home is None) == (model["kind"] == "service")


# Commands


def run(platform: Platform, *words: str) -> str:
    done = CliRunner().invoke(load_commands(), ["storage", *words, "--data", str(platform.data.root)])
    assert done.exit_code in {0, 2}, (done.output, done.exception)
    return done.output


def test_commands_for_rounds_holds_and_mails(platform: Platform) -> None:
    write_json(platform.data.run / "storage.json", json.loads(platform.settings.model_dump_json()))
    assert settings_of(platform.data).config == platform.settings.config
    assert "No round was made yet" in run(platform, "history")
    assert "No mail was written yet" in run(platform, "mails")
    assert "Rounds are not paused" in run(platform, "resume")
    assert "Rounds are paused" in run(platform, "pause", "moving house")
    assert "moving house" in run(platform, "history")
    assert "made again" in run(platform, "resume")
    assert "no home 'nobody'" in run(platform, "hold", "nobody")
    assert "no date" in run(platform, "hold", "ana", "--until", "soon")
    assert "over already" in run(platform, "hold", "ana", "--until", "2020-01-01")
    assert "Nothing of ana/scratch is moved" in run(platform, "hold", "ana", "scratch")
    assert "Held are: ana/scratch" in run(platform, "release", "ana")
    assert "by the policy again" in run(platform, "release", "ana", "scratch")
    assert "no 'scratsh' in the home ana" in run(platform, "hold", "ana", "scratsh"), "it would hold nothing"
    assert "no 'no/where' in the home ana" in run(platform, "hold", "ana", "no/where")
    assert "1 home, " in run(platform, "run")
    assert "done, by uid" in run(platform, "history")


def test_a_round_that_cannot_send_is_listed_and_what_is_away_can_be_held(platform: Platform) -> None:
    write_json(platform.data.run / "storage.json", json.loads(platform.settings.model_dump_json()))
    platform.round()
    assert "Nothing of ana/.cache/pip is moved" in run(platform, "hold", "ana", ".cache/pip"), "in quarantine"
    config = platform.settings.config
    assert config is not None
    (config / "cubehub.yaml").write_text("mail: {server: h.invalid, user: u, password_file: /no/such/file}\n")
    findings = {one.code: one for one in checkup.findings(platform.data)}
    assert "/no/such/file" in findings["mail_password"].message
    with pytest.raises(CubeHubError, match="/no/such/file"):
        platform.round(4)
    said = run(platform, "history")
    assert "1 mail written, 0 sent, 1 waiting." in said
    assert "/no/such/file cannot be read" in said
    # as earlier versions wrote it down
    history = History(platform.settings.state)
    history.end(history.begin("test", platform.at), FAILED, {"mails": 1, "failed": "x"}, platform.at)
    assert "1 mail written, 0 sent, ? waiting." in run(platform, "history")
    # mended: it says when the mail is tried again
    (config / "cubehub.yaml").write_text("mail: {server: 127.0.0.1, port: 9, security: none}\n")
    assert platform.round()["mails_waiting"] == 1
    assert "mails --again" in str(platform.round()["mail"])
    assert "mails_wait" in [one.code for one in checkup.findings(platform.data)]


def test_a_round_leaves_alone_what_was_brought_back(platform: Platform) -> None:
    assert platform.round()["moved"] == 1
    cache = platform.home / ".cache" / "pip"
    assert not cache.exists()
    keeping = platform.keeping
    with keeping.keeper() as (keeper, made):
        (one,) = made.of_run(made.last_run() or 0)
        assert keeping.bring_back(keeper, made, one).why == ""
    told = platform.round(1)
    assert (told["moved"], "left alone by rounds: 1" in str(told["left"])) == (0, True)
    assert cache.exists()
    assert keeping.plan().entries[-1].path == b".cache/pip", "whoever plans by hand sees it"
    assert platform.round(90)["moved"] == 1
    assert not cache.exists()


def test_to_undo_the_last_run_takes_no_erasure_back(platform: Platform) -> None:
    platform.round()
    keeping = platform.keeping
    with keeping.keeper() as (keeper, made):
        run_of_round = made.last_run()
        assert erasing.begin(keeping, keeper, made, b"ana").why == ""
        assert made.last_run() == run_of_round, "what somebody asked for is taken back by its number only"
    assert [number for number, *_ in journal.runs(platform.settings.state)] == [run_of_round]


def test_the_doctor_tells_what_keeps_the_loop_from_closing(platform: Platform) -> None:
    write_json(platform.data.run / "storage.json", json.loads(platform.settings.model_dump_json()))
    config = platform.settings.config
    assert config is not None

    def codes() -> list[str]:
        return [one.code for one in checkup.findings(platform.data)]

    platform.at = time.time()
    assert codes() == ["storage"]
    platform.round()
    assert codes() == ["storage"]
    (config / "cubehub.yaml").write_text("mail: {server: ''}\n")
    policy = (config / "storage.yaml").read_text()
    (config / "storage.yaml").write_text(policy.replace(str(platform.store), "''"))
    assert codes() == ["no_mail", "no_archive"]
    (config / "storage.yaml").write_text("preset: gentle\n")
    rounds.pause(platform.settings.state, "adam", "", platform.at)
    assert codes() == ["rounds_paused"]
    rounds.resume(platform.settings.state)
    history = History(platform.settings.state)
    history.end(history.begin("test", platform.at), FAILED, {"failed": "the disk"}, platform.at)
    assert codes() == ["round_failed"]
    history.begin("test", platform.at - 9 * DAY)
    assert codes() == ["rounds_late"]
    (config / "storage.yaml").write_text("preset: harsh\n")
    assert codes() == ["storage"]
    assert "preset" in checkup.findings(platform.data)[0].message
