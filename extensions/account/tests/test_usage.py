"""What the status bar shows, from files as each enforcer leaves them."""

import os

import pytest
from cubehub_account.home import HomeCounter, count
from cubehub_account.state import State
from cubehub_account.usage import Usage, read_usage

MIB = 2**20


def environ(folder, **more):
    return {"CUBEHUB_MEMORY_EVENTS": str(folder / "events"), **more}


def write(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_cgroup_v2(tmp_path):
    write(
        tmp_path,
        memory__max=f"{500 * MIB}\n",
        memory__current=f"{200 * MIB}\n",
        memory__stat=f"anon 1\ninactive_file {50 * MIB}\n",
    )
    assert read_usage(environ(tmp_path, MEM_LIMIT="1")) == Usage(150 * MIB, 500 * MIB)


def test_cgroup_v1(tmp_path):
    write(
        tmp_path,
        memory__limit_in_bytes=str(500 * MIB),
        memory__usage_in_bytes=str(200 * MIB),
        memory__stat=f"inactive_file 7\ntotal_inactive_file {50 * MIB}\n",
    )
    assert read_usage(environ(tmp_path)) == Usage(150 * MIB, 500 * MIB)


def test_the_watchdog_tells_its_limit_and_the_processes_their_use(tmp_path):
    write(tmp_path, limit=str(500 * MIB))
    found = read_usage(environ(tmp_path))
    assert found.memory_bytes == 500 * MIB
    assert found.used_bytes > MIB, "this process alone has that"


@pytest.mark.parametrize("limit", ["max\n", str(2**63 - 4096), "rubbish"])
def test_without_a_limit_there_the_one_of_the_start_is_taken(tmp_path, limit):
    name = "memory__max" if limit == "max\n" else "memory__limit_in_bytes"
    write(tmp_path, **{name: limit}, memory__stat="x 1\n", memory__current=str(MIB))
    assert read_usage(environ(tmp_path, MEM_LIMIT=str(9 * MIB))) == Usage(MIB, 9 * MIB)


def test_a_home_is_counted_without_links_twice_and_without_following_any(tmp_path):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (elsewhere / "big").write_bytes(os.urandom(4 * MIB))
    (home / "a").write_bytes(os.urandom(MIB))
    os.link(home / "a", home / "again")
    (home / "link").symlink_to(elsewhere)
    (home / "sub").mkdir()
    (home / "sub" / "b").write_bytes(os.urandom(MIB))
    found = count(str(home))
    assert found.complete
    assert 2 * MIB <= found.bytes < 3 * MIB
    assert not count(str(home), most=2).complete


def test_counting_holds_nobody_up_and_is_done_now_and_then(tmp_path):
    now = [0.0]
    counter = HomeCounter(str(tmp_path), lambda: now[0])
    assert counter.size() is None
    counter.thread.join(30)
    before = counter.size()
    (tmp_path / "new").write_bytes(os.urandom(MIB))
    assert counter.size() == before
    now[0] = 1000.0
    counter.size()
    counter.thread.join(30)
    assert counter.size().bytes >= before.bytes + MIB
    assert HomeCounter(str(tmp_path / "missing")).size() is None


def test_the_profile_follows_the_hub_and_the_limit_the_machine(tmp_path, monkeypatch):
    write(tmp_path, memory__max=str(300 * MIB), memory__current="5", memory__stat="")
    for name, value in environ(
        tmp_path, MEM_LIMIT=str(MIB), CUBEHUB_PROFILE_TITLE="Standard", CUBEHUB_PROFILE="standard"
    ).items():
        monkeypatch.setenv(name, value)
    state = State(home=HomeCounter(str(tmp_path)))
    assert (state.limits().profile, state.limits().memory_bytes) == ("Standard", 300 * MIB)
    write(tmp_path, memory__max=str(600 * MIB))
    state.news.take({"server": {"profile": "premium", "title": "Premium", "storage_bytes": 7}})
    assert (state.limits().profile, state.limits().memory_bytes) == ("Premium", 600 * MIB)
    status = state.status()
    assert (status["profile"], status["memory_bytes"], status["storage_bytes"]) == ("premium", 600 * MIB, 7)
    assert (status["coming"], status["until"]) == (None, None), "a Hub that does not tell"
    more = {
        "coming": {"at": None, "memory_bytes": 9, "title": "Huge"},
        "until": {"at": "t", "title": "Standard"},
    }
    state.news.take({"server": {"profile": "premium", **more}})
    assert {name: state.status()[name] for name in more} == more
    state.say_stopped("The kernel of a.ipynb was stopped.", "Do this.", "k")
    state.say_stopped("The kernel of a.ipynb was stopped.", "Do this.", "k")
    first, second = state.status()["notices"]
    assert [first["id"], second["id"]] == ["kernel-1", "kernel-2"]
    state.note_seen([f"{first['id']}@{first['time']}", "9@never"])
    assert [one["seen"] for one in state.status()["notices"]] == [True, False]
    state.home.thread.join(30)


def test_a_pod_that_found_its_home_full_says_so():
    state = State()
    state.say_full()
    [notice] = state.status()["notices"]
    assert (notice["code"], notice["level"], notice["seen"]) == ("home_full", "warning", False)
    assert "Delete" in notice["hint"]
