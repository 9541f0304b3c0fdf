"""The spawner itself, with a server that only sleeps: what is held, and what is left, when things go wrong."""

import asyncio
import logging
import os
import signal
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from cubehub_spawner import Account, ProfileLocalSpawner, enforcers, isolation
from cubehub_spawner.enforcers import CannotHoldError, Watchdog
from cubehub_spawner.enforcers._tree import started_at
from jupyterhub.spawner import SpawnException

MIB = 2**20
PROFILES = "profiles: {small: {title: Small, groups: [/small], memory: 200M, cpu: 1, storage: 1G}}"


class Directory:
    async def lookup(self, username):
        return Account(username, "id", True, frozenset({"/small"}))


class Sleeper(ProfileLocalSpawner):
    """Without a Hub: no tokens in the environment, and a server that sleeps."""

    def get_env(self):
        return {"PATH": os.environ["PATH"]}

    def server_command(self):
        return ["/bin/sleep", "300"]

    async def own_port(self):
        """It listens nowhere."""
        return True


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make spawners of one person, held by the watchdog, which works everywhere; end what they started."""
    monkeypatch.setattr(enforcers, "_chosen", {})
    (tmp_path / "profiles.yaml").write_text(PROFILES)
    database = SimpleNamespace(commit=lambda: None)
    user = SimpleNamespace(name="ana", escaped_name="ana", spawners={}, db=database)
    made = []

    def make(name="", **settings):
        spawner = Sleeper(
            orm_spawner=SimpleNamespace(name=name, server=None, user_options=None),
            directory=Directory(),
            profiles_file=str(tmp_path / "profiles.yaml"),
            audit_log=str(tmp_path / "audit.jsonl"),
            homes_dir=str(tmp_path / "homes"),
            enforcers=["watchdog"],
            isolation="none",
            trust_everyone=True,
        )
        for setting, value in settings.items():
            setattr(spawner, setting, value)
        spawner.user, spawner.hub, spawner.handler = user, SimpleNamespace(base_url="/hub/"), None
        user.spawners[name] = spawner
        made.append(spawner)
        return spawner

    yield make
    for spawner in made:
        if spawner.pid:
            asyncio.run(spawner.stop(now=True))


def alive(pid):
    return started_at(pid) >= 0


async def server_of(spawner):
    """Wait until the watchdog has started the server."""
    async with asyncio.timeout(30):
        while (pid := spawner._server_pid()) == spawner.pid:  # noqa: ASYNC110 - /proc tells nobody
            await asyncio.sleep(0.02)
    return pid


def test_a_server_starts_and_stops_without_a_trace(make):
    async def run():
        spawner = make()
        await spawner.start()
        assert await spawner.poll() is None
        pid, server = spawner.pid, await server_of(spawner)
        await spawner.stop()
        assert not alive(pid)
        assert not alive(server)
        assert not spawner.run_dir.exists()
        assert await spawner.poll() == 0
        assert spawner.granted_bytes == 0

    asyncio.run(run())


def test_what_cannot_be_written_down_is_not_granted(make, tmp_path):
    (tmp_path / "audit.jsonl").mkdir()
    spawner = make()
    with pytest.raises(SpawnException) as refused:
        asyncio.run(spawner.start())
    assert (refused.value.reason, refused.value.status_code) == ("audit_log", 503)
    assert "could not be written down" in refused.value.message
    assert (spawner.pid, spawner.granted_bytes) == (0, 0)


def test_who_gets_a_name_again_gets_a_home_of_their_own(make, tmp_path):
    async def run():
        spawner, other = make(), make("other")
        await spawner.start()
        (spawner.home / "secret").touch()
        other.directory = SimpleNamespace(lookup=new_account)
        spawner._spawn_pending = True  # as the Hub has it while a server starts
        spawner.granted_bytes = 0  # there is memory enough for both
        with pytest.raises(SpawnException) as refused:
            await other.start()
        assert refused.value.reason == "another_account"
        assert (spawner.home / "secret").exists()
        spawner._spawn_pending = False
        await spawner.stop()
        await other.start()
        assert list(other.home.iterdir()) == []
        assert (tmp_path / "homes" / "ana.of-id" / "secret").exists()

    async def new_account(username):
        return Account(username, "new id", True, frozenset({"/small"}))

    asyncio.run(run())


def test_two_who_find_it_ended_do_not_end_the_next_one(make, monkeypatch):
    removals = []

    def remove(self, handle, timeout_s=10.0):
        removals.append(handle)
        if len(removals) == 2:
            threading.Event().wait(1)  # the second one is slower
        return super(Watchdog, self).remove(handle, timeout_s)

    monkeypatch.setattr(Watchdog, "remove", remove)

    async def run():
        spawner = make()
        await spawner.start()
        os.kill(spawner.pid, signal.SIGKILL)
        spawner.proc.wait(10)
        quick, slow = asyncio.create_task(spawner.poll()), asyncio.create_task(spawner.poll())
        await asyncio.wait([quick, slow], return_when=asyncio.FIRST_COMPLETED)
        await spawner.start()
        pid = spawner.pid
        assert {await quick, await slow} == {-signal.SIGKILL}
        assert spawner.pid == pid
        assert await spawner.poll() is None
        assert spawner.granted_bytes == 200 * MIB

    asyncio.run(run())


def test_a_start_that_the_hub_gives_up_leaves_nothing(make):
    go_on = threading.Event()

    async def run():
        spawner = make(home_hook=lambda _: go_on.wait(30))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(spawner.start(), 0.3)
        go_on.set()
        assert spawner.granted_bytes == 0
        assert not spawner.run_dir.exists()
        assert spawner.pid == 0

    asyncio.run(run())


def test_a_look_at_a_server_that_starts_does_not_forget_what_it_was_granted(make):
    go_on, in_hook = threading.Event(), threading.Event()

    async def run():
        spawner = make(home_hook=lambda _: (in_hook.set(), go_on.wait(30)))
        start = asyncio.create_task(spawner.start())
        await asyncio.to_thread(in_hook.wait, 30)
        assert await spawner.poll() == 0
        assert spawner.granted_bytes == 200 * MIB
        go_on.set()
        await start

    asyncio.run(run())


def test_whatever_a_hook_raises_the_page_says_no_more_than_it_may(make, caplog):
    def hook(_spawner):
        raise RuntimeError("/srv/secret/place")

    spawner = make(home_hook=hook)
    with caplog.at_level(logging.ERROR), pytest.raises(SpawnException) as refused:
        asyncio.run(spawner.start())
    assert refused.value.reason == "spawner_error"
    assert "secret" not in f"{refused.value} {refused.value.message_html}"
    assert "/srv/secret/place" in caplog.text
    assert not spawner.run_dir.exists()
    assert spawner.granted_bytes == 0


def test_why_nothing_holds_is_for_the_log(make, monkeypatch, caplog):
    def probe(_cls, _state_dir):
        raise CannotHoldError("/srv/secret/place: no")

    monkeypatch.setattr(Watchdog, "probe", classmethod(probe))
    with caplog.at_level(logging.ERROR), pytest.raises(SpawnException) as refused:
        asyncio.run(make().start())
    assert refused.value.reason == "no_enforcer"
    assert "secret" not in f"{refused.value} {refused.value.message_html}"
    assert "/srv/secret/place" in caplog.text


def test_without_a_folder_for_homes_nothing_is_made(make, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(SpawnException, match="No folder for people's files"):
        asyncio.run(make(homes_dir="").start())
    assert list((tmp_path / "here").iterdir()) == []


def test_a_home_that_is_a_link_is_refused(make, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    spawner = make()
    spawner.home.parent.mkdir()
    spawner.home.symlink_to(elsewhere)
    with pytest.raises(SpawnException, match="is a link"):
        asyncio.run(spawner.start())
    assert list(elsewhere.iterdir()) == []


def test_what_is_left_in_tmp_cannot_keep_a_server_from_ending(make, tmp_path):
    """A folder in a folder in a folder …: 3000 levels, deeper than Python calls itself. And a link out of it."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()

    async def run():
        spawner = make()
        await spawner.start()
        place = os.open(spawner.run_dir / "tmp", os.O_RDONLY)
        os.symlink(kept, "out", dir_fd=place)
        for _ in range(3000):
            os.mkdir("d", dir_fd=place)
            below = os.open("d", os.O_RDONLY, dir_fd=place)
            os.close(place)
            place = below
        os.close(place)
        await spawner.stop(now=True)
        assert not spawner.run_dir.exists()
        assert spawner.pid == 0

    try:
        asyncio.run(run())
    finally:  # pytest can't remove it either
        subprocess.run(["rm", "-rf", tmp_path / "servers"], check=True)
    assert (kept / "file").exists()


def test_a_restarted_hub_does_not_take_a_dead_process_for_the_server(make):
    """The start time of a server that ended at once could not be read; neither can that of any process that is gone."""
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        spawner = make()
        spawner.load_state(
            {"pid": ended.pid, "started": -1, "enforcer": "watchdog", "handle": "/no/such/group"}
        )
        assert asyncio.run(spawner.poll()) == 0


def test_a_restarted_hub_that_cannot_use_the_enforcer_ends_the_server_all_the_same(make, monkeypatch):

    def probe(_cls, _state_dir):
        raise CannotHoldError("not any longer")

    async def run():
        first, second = make(), make()
        await first.start()
        pids = [first.pid, await server_of(first)]
        second.load_state(first.get_state())
        monkeypatch.setattr(Watchdog, "probe", classmethod(probe))
        monkeypatch.setattr(enforcers, "_chosen", {})
        await second.stop(now=True)
        assert [pid for pid in pids if alive(pid)] == []

    asyncio.run(run())


@pytest.fixture
def no_answer_yet(monkeypatch, tmp_path):
    """A machine on which the trial of bubblewrap can't even be started."""
    monkeypatch.setattr(isolation, "_found", None)
    program = tmp_path / "bin" / "bwrap"
    program.parent.mkdir()
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def test_when_nobody_knows_whether_servers_are_kept_apart_none_starts(make, no_answer_yet):
    with pytest.raises(SpawnException, match="can't keep servers apart"):
        asyncio.run(make(isolation="auto").start())
    no_answer_yet.write_text("#!/bin/sh\nexit 0\n")
    assert isolation.probe_isolation().kind == "bubblewrap", "what was not certain is tried again"
    no_answer_yet.unlink()
    assert isolation.probe_isolation().kind == "bubblewrap", "what is certain is kept"


def test_servers_that_start_at_once_see_one_another(make):
    async def run():
        one, two = make("one"), make("two")
        one._spawn_pending = two._spawn_pending = True
        ended = await asyncio.gather(one.start(), two.start(), return_exceptions=True)
        assert [type(end) for end in ended].count(SpawnException) == 1
        assert one.granted_bytes + two.granted_bytes == 200 * MIB

    asyncio.run(run())


def test_names_that_look_alike_have_places_of_their_own(make):
    places = set()
    for name in ("a@b", "a_b", "a-b", "A-b", "ünï", "uni", "x" * 200, "x" * 199, "..", "a/../b"):
        spawner = make()
        spawner.user = SimpleNamespace(name=name)
        for place in (spawner.home, spawner.run_dir, spawner.log_file):
            assert place.parent.parent.is_relative_to(Path(spawner.homes_dir).parent)
            assert len(place.name) < 100
            places.add(place)
    assert len(places) == 30
