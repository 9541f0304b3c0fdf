"""A user id per person: who gets which, what becomes theirs, and what a hostile notebook gets at."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from cubehub_spawner import Account, ProfileLocalSpawner, SpawnerError, enforcers, isolation, uids
from cubehub_spawner._homes import of_others
from cubehub_spawner.enforcers._tree import started_at
from jupyterhub.spawner import SpawnException

needs_root = pytest.mark.needs("root")
PROFILES = "profiles: {small: {title: Small, groups: [/small], memory: 200M, cpu: 1, storage: 1G}}"


# ---- who gets which ------------------------------------------------------------------------------------------------


def test_an_account_keeps_its_id_and_nobody_else_gets_it(tmp_path):
    ana = uids.uid_of("id-ana", tmp_path)
    assert uids.FIRST <= ana <= uids.LAST
    assert uids.uid_of("id-petra", tmp_path) != ana
    assert uids.uid_of("id-ana", tmp_path) == ana
    assert (tmp_path / ".uids.json").stat().st_mode & 0o777 == 0o600


def test_a_range_that_is_used_up_is_an_error(tmp_path):
    assert [uids.uid_of(f"id-{n}", tmp_path, 80_000, 80_001) for n in range(2)] == [80_000, 80_001]
    with pytest.raises(SpawnerError, match="given away"):
        uids.uid_of("id-2", tmp_path, 80_000, 80_001)


def test_without_an_account_id_there_is_no_user_id(tmp_path):
    with pytest.raises(SpawnerError, match="no id"):
        uids.uid_of("", tmp_path)


def test_a_note_that_cannot_be_read_gives_nobody_anything(tmp_path):
    (tmp_path / ".uids.json").write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        uids.uid_of("id-ana", tmp_path)


@needs_root
def test_an_id_that_owns_a_home_is_not_given_again_when_the_note_is_lost(tmp_path):
    (tmp_path / "ana").mkdir()
    os.chown(tmp_path / "ana", uids.FIRST, uids.FIRST)
    assert uids.uid_of("id-petra", tmp_path) != uids.FIRST


# ---- what becomes theirs -------------------------------------------------------------------------------------------


def owners(folder):
    return {str(path.relative_to(folder)): path.lstat().st_uid for path in folder.rglob("*")}


@needs_root
def test_a_new_home_becomes_its_owners_and_links_lead_nowhere(tmp_path):
    home, secret = tmp_path / "home", tmp_path / "secret"
    (home / "work" / "deep").mkdir(parents=True)
    secret.write_text("hunter2")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (home / "work" / "file").touch()
    (home / "work" / "link").symlink_to(secret)
    (home / "folder-link").symlink_to(tmp_path / "folder")
    os.link(secret, home / "hard")
    (home / "one").touch()
    os.link(home / "one", home / "work" / "two")
    os.mkfifo(home / "fifo")
    os.chown(home / "work" / "deep", 12345, 12345)
    uids.own(home, 70_001)
    assert owners(home) == {
        "work": 70_001, "work/deep": 12345, "work/file": 70_001, "work/link": 0, "folder-link": 0,
        "hard": 0, "one": 70_001, "work/two": 70_001, "fifo": 0,
    }  # fmt: skip
    assert (secret.stat().st_uid, (tmp_path / "folder" / "file").stat().st_uid) == (0, 0)
    assert home.stat().st_uid == 70_001
    assert home.stat().st_mode & 0o777 == 0o700


@needs_root
def test_what_the_hub_puts_there_later_becomes_theirs_too(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    uids.own(home, 70_001)
    (home / "cubehub-examples").mkdir()
    (home / "cubehub-examples" / "one.ipynb").touch()
    (tmp_path / "secret").touch()
    os.link(tmp_path / "secret", home / "hard")
    uids.own(home, 70_001)
    assert owners(home) == {"cubehub-examples": 70_001, "cubehub-examples/one.ipynb": 70_001, "hard": 0}


@needs_root
def test_it_goes_back_to_the_hub_where_servers_are_shut_in_otherwise(tmp_path):
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    uids.own(home, 70_001)
    uids.own(home, 0)
    assert (home.stat().st_uid, owners(home)) == (0, {"work": 0})


@needs_root
def test_a_home_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        uids.own(tmp_path / "home", 70_001)
    assert (tmp_path / "elsewhere").stat().st_uid == 0


@needs_root
def test_a_very_deep_home_is_no_trouble(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    descriptor = os.open(home, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    uids.own(home, 70_001)
    assert (home / "d" / "d").stat().st_uid == 70_001
    subprocess.run(["rm", "-rf", home], check=True)


# ---- a hostile notebook --------------------------------------------------------------------------------------------


@pytest.fixture
def place():
    """A folder that everyone may pass through; pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="cubehub-uids-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def shell(place):
    for name, uid in (("ana", 70_001), ("petra", 70_002)):
        (place / name).mkdir()
        (place / name / "diary").write_text(f"of {name}")
        (place / name / "diary").chmod(0o644)
        uids.own(place / name, uid)
    (place / "secrets").mkdir(mode=0o700)
    (place / "secrets" / "key").write_text("hunter2")
    (place / "token").write_text("hunter2")
    (place / "token").chmod(0o600)

    def run(line, **more):
        return subprocess.run(
            uids.drop_command(70_001, ["/bin/sh", "-c", line]), capture_output=True, text=True, check=False,
            timeout=20, cwd=place / "ana", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, **more,
        )  # fmt: skip

    return run


@needs_root
@pytest.mark.needs("system-python")
def test_it_cannot_give_its_files_another_project_or_other_flags(shell):
    """An owner may, says Linux, and would leave the limit of the home so."""
    code = """
import errno, fcntl, os, termios
said = []
file = os.open("own", os.O_RDWR | os.O_CREAT)
for number, size in ((0x40086602, 8), (0x40046602, 4), (0x401C5820, 28)):
    try:
        fcntl.ioctl(file, number, bytes(size))
        said.append("changed")
    except OSError as error:
        said.append(errno.errorcode[error.errno])
one, other = os.openpty()
said.append(len(termios.tcgetattr(other)) == 7)  # other ioctls work
print(said)
"""
    asked = shell(f"/usr/bin/python3 -I -c '{code}'")
    assert asked.stdout.strip() == "['EPERM', 'EPERM', 'EPERM', True]", asked.stderr


@needs_root
@pytest.mark.slow
def test_it_sees_its_own_home_and_nobody_elses(shell, place):
    assert shell("cat diary").stdout == "of ana"
    for target in ("petra/diary", "secrets/key", "token"):
        assert shell(f"cat {place}/{target}").returncode != 0, target
        assert shell(f"echo bad >> {place}/{target}").returncode != 0, target
    assert shell(f"ls {place}").returncode != 0, "nor who else there is"
    assert shell("cat /etc/shadow").returncode != 0
    assert shell("ls /root").returncode != 0
    for target in ("/usr/x", "/etc/x", "/x", f"{place}/x", f"{place}/petra/x"):
        assert shell(f"echo bad > {target}").returncode != 0, target
    assert shell("mv diary /proc/1/x; ln -s ../petra/diary mine; cat mine").returncode != 0
    assert (place / "petra" / "diary").read_text() == "of petra"


@needs_root
@pytest.mark.slow
def test_it_has_no_power_and_gets_none_back(shell):
    status = shell("cat /proc/self/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == fields["Gid"].split() == ["70001"] * 4
    assert fields["Groups"].strip() == ""
    assert fields["NoNewPrivs"] == "1"
    assert {
        name: fields[name].strip("0") for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")
    } == dict.fromkeys(("CapEff", "CapPrm", "CapBnd", "CapAmb"), "")
    assert shell("umask").stdout.strip().lstrip("0") == "77"
    assert shell("su root -c id").returncode != 0
    # a file of root's with the bit that makes others root
    assert shell("chown 0 diary; chgrp 0 diary").returncode != 0


@needs_root
@pytest.mark.slow
def test_set_user_id_programs_do_nothing_for_it(shell, place):
    program = place / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    assert shell(f"{program} -u").stdout.strip() == "70001"


@needs_root
@pytest.mark.slow
def test_it_cannot_touch_other_processes_or_the_kernel(shell):
    with subprocess.Popen(uids.drop_command(70_002, ["/bin/sleep", "60"]), env={"TOKEN": "hunter2"}) as other:
        while Path(f"/proc/{other.pid}/comm").read_text() != "sleep\n":
            pass
        assert shell(f"kill -9 {other.pid}").returncode != 0
        assert "hunter2" not in shell(f"cat /proc/{other.pid}/environ").stdout
        for name in ("fd", "root", "cwd"):
            assert shell(f"cd /proc/{other.pid} && ls {name}/").returncode != 0, name
        assert shell(f"kill -9 {os.getpid()}; kill -9 1").returncode != 0
        other.kill()
    writable = "find /proc/sys /sys/fs/cgroup -type f -writable -print 2>/dev/null | head"
    found = [name for name in shell(writable).stdout.split() if "/ns_last_pid" not in name]
    assert found == []


@needs_root
@pytest.mark.slow
def test_it_ends_with_its_parent():
    code = "import subprocess, sys; one = subprocess.Popen(sys.argv[1:]); print(one.pid, flush=True); sys.stdin.read()"
    command = uids.drop_command(70_001, ["/bin/sleep", "300"], die_with_parent=True)
    with subprocess.Popen(
        [sys.executable, "-c", code, *command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as parent:  # fmt: skip
        child = int(parent.stdout.readline())
        while Path(f"/proc/{child}/comm").read_text() != "sleep\n":
            pass
        parent.kill()
    while started_at(child) >= 0:
        pass


def test_without_root_nothing_of_the_command_runs(place):
    command = uids.drop_command(70_001, ["/bin/echo", "ran"])
    if os.geteuid() == 0:
        command = uids.drop_command(70_002, command)  # whose first step took root away
        place.chmod(0o755)
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert ran.stdout == ""


# ---- the spawner ---------------------------------------------------------------------------------------------------


class Sleeper(ProfileLocalSpawner):
    def get_env(self):
        return {"PATH": os.environ["PATH"]}

    def server_command(self):
        return ["/bin/sleep", "300"]

    async def own_port(self):
        """It listens nowhere."""
        return True


@pytest.fixture
def make(place, monkeypatch):
    """Make spawners of several people."""
    monkeypatch.setattr(enforcers, "_chosen", {})
    monkeypatch.setattr(isolation, "_reached", {})
    (place / "profiles.yaml").write_text(PROFILES)
    python = place / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 0\n")  # that it can be run is all that is asked of it
    python.chmod(0o755)
    made = []

    async def lookup(username):
        return Account(username, f"id-{username}", enabled=True, groups=frozenset({"/small"}))

    def make(person, **settings):
        spawner = Sleeper(
            orm_spawner=SimpleNamespace(name="", server=None, user_options=None),
            directory=SimpleNamespace(lookup=lookup),
            profiles_file=str(place / "profiles.yaml"),
            homes_dir=str(place / "homes"),
            lab_prefix=str(place / "env"),
            enforcers=["watchdog"],
            **settings,
        )
        database = SimpleNamespace(commit=lambda: None)
        spawner.user = SimpleNamespace(name=person, escaped_name=person, spawners={"": spawner}, db=database)
        spawner.hub, spawner.handler = SimpleNamespace(base_url="/hub/"), None
        made.append(spawner)
        return spawner

    yield make
    for spawner in made:
        if spawner.pid:
            asyncio.run(spawner.stop(now=True))


def start(spawner):
    asyncio.run(spawner.start())


def owner_of(pid):
    return Path(f"/proc/{pid}").stat().st_uid


@needs_root
@pytest.mark.slow
def test_each_person_has_a_user_id_and_the_server_ends_when_told(make, place):
    async def run():
        ana, petra = make("ana", isolation="uid"), make("petra", isolation="uid")
        ana.home_hook = lambda spawner: (spawner.home / "welcome").touch()
        await ana.start()
        await petra.start()
        assert ana.uid != petra.uid
        homes = place / "homes"
        assert (homes / "ana").stat().st_uid == (homes / "ana" / "welcome").stat().st_uid == ana.uid
        assert (homes.stat().st_mode & 0o777, (homes / "ana").stat().st_mode & 0o777) == (0o711, 0o700)
        assert (ana.run_dir / "tmp").stat().st_uid == ana.uid
        async with asyncio.timeout(30):
            while owner_of(pid := ana._server_pid()) != ana.uid:  # noqa: ASYNC110 - /proc tells nobody
                await asyncio.sleep(0.02)
        env = ana.user_env({})
        assert (env["HOME"], env["USER"]) == (str(homes / "ana"), "ana")
        command = uids.drop_command(ana.uid, ["/bin/cat", str(ana.events_seen(ana._enforcer()))])
        assert "oom_kill 0" in await asyncio.to_thread(subprocess.check_output, command, text=True)
        await ana.stop()
        assert started_at(pid) == -1
        assert not ana.run_dir.exists()

    asyncio.run(run())


@needs_root
@pytest.mark.slow
def test_an_environment_that_others_cannot_reach_is_told(make, place, monkeypatch):
    monkeypatch.setattr(isolation, "_found", isolation.Isolation("uid", "bubblewrap is not installed"))
    (place / "env").chmod(0o700)
    ana = make("ana")
    start(ana)  # alone, as without any way to keep people apart
    assert ana.uid == os.geteuid()
    with pytest.raises(SpawnException) as refused:
        start(make("petra"))
    assert refused.value.reason == "not_isolated"
    with pytest.raises(SpawnException) as refused:
        start(make("ana", isolation="required"))
    assert refused.value.reason == "spawner_error"


# ---- nothing keeps them apart --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_only_one_person_has_servers_where_nothing_keeps_people_apart(make):
    start(make("ana", isolation="none"))
    petra = make("petra", isolation="none")
    with pytest.raises(SpawnException) as refused:
        start(petra)
    assert refused.value.reason == "not_isolated"
    assert "--trust-everyone" in refused.value.message
    assert "ana" not in refused.value.message
    assert not petra.home.exists()
    start(make("ana", isolation="none"))
    start(make("petra", isolation="none", trust_everyone=True))


@pytest.mark.slow
def test_of_two_who_start_at_once_one_is_refused(make):
    async def both():
        starts = [make(person, isolation="none").start() for person in ("ana", "petra")]
        return await asyncio.gather(*starts, return_exceptions=True)

    assert sorted(getattr(one, "reason", "") for one in asyncio.run(both())) == ["", "not_isolated"]


def test_what_an_earlier_account_left_is_somebody_elses(tmp_path):
    home = tmp_path / "ana"
    assert not of_others(home, "id-ana")
    home.mkdir()
    (tmp_path / ".ana.account").write_text("id-ana")
    assert not of_others(home, "id-ana")
    assert of_others(home, "id-new-ana")
    (tmp_path / "ana.of-id-old").mkdir()
    assert of_others(home, "id-ana")
