"""What a start does about room in the home; with a server that only sleeps, and a real full file system."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from cubehub_spawner import Account, ProfileLocalSpawner, enforcers
from jupyterhub.spawner import SpawnException

MIB = 2**20
PROFILES = "profiles: {small: {title: Small, groups: [/small], memory: 900M, cpu: 1, storage: 1G}}"


class Directory:
    async def lookup(self, username):
        return Account(username, "id", True, frozenset({"/small"}))


class Sleeper(ProfileLocalSpawner):
    """Without a Hub, and listens nowhere; notes the environment and the command that a server would have."""

    def get_env(self):
        self.seen = self.user_env({})
        return {"PATH": os.environ["PATH"]}

    def server_command(self):
        self.would_run = super().server_command()
        return ["/bin/sleep", "300"]

    async def own_port(self):
        return True


class Limits:
    """Writes down what it is asked; fails where it is told to."""

    def __init__(self, trouble=None):
        self.asked, self.trouble = [], trouble

    def make(self, home):
        self.asked.append(("make", home.name))
        if self.trouble:
            raise self.trouble
        home.mkdir()

    def limit(self, home, limit_bytes):
        self.asked.append(("limit", home.name, limit_bytes))
        if self.trouble:
            raise self.trouble


@pytest.fixture
def place():
    """A folder that everyone may pass through, with an environment that has nothing but Python."""
    folder = Path(tempfile.mkdtemp(prefix="cubehub-room-"))
    folder.chmod(0o711)
    (folder / "lab" / "bin").mkdir(parents=True)
    (folder / "lab" / "bin" / "python").symlink_to("/usr/bin/python3")
    (folder / "profiles.yaml").write_text(PROFILES)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def make(place, monkeypatch):
    monkeypatch.setattr(enforcers, "_chosen", {})
    made = []

    def make(**settings):
        spawner = Sleeper(
            orm_spawner=SimpleNamespace(name="", server=None, user_options=None),
            directory=Directory(),
            profiles_file=str(place / "profiles.yaml"),
            homes_dir=str(place / "homes"),
            state_dir=str(place / "servers"),
            lab_prefix=str(place / "lab"),
            enforcers=["watchdog"],
            **{"isolation": "none", **settings},
        )
        spawner.user = SimpleNamespace(
            name="ana", escaped_name="ana", spawners={}, db=SimpleNamespace(commit=lambda: None)
        )
        spawner.hub, spawner.handler = SimpleNamespace(base_url="/hub/"), None
        spawner.cmd = ["jupyterhub-singleuser"]
        made.append(spawner)
        return spawner

    yield make
    for spawner in made:
        if spawner.pid:
            asyncio.run(spawner.stop(now=True))


class Memory:
    """Small file systems in memory."""

    def __init__(self):
        self.made = []

    def mount(self, at, size):
        at.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", at], check=True)
        self.made.append(at)

    def unmount(self, at):
        subprocess.run(["umount", "-l", at], check=True)
        self.made.remove(at)


@pytest.fixture
def memory(place):
    assert place.is_dir(), "which goes after what is mounted in it"
    made = Memory()
    yield made
    for at in reversed([*made.made]):
        made.unmount(at)


def fill(folder):
    with (folder / "big").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


@pytest.mark.needs("system-python")
def test_a_home_is_made_and_limited_at_the_start(make):
    limits = Limits()
    spawner = make(home_limits=limits)

    async def run():
        await spawner.start()
        assert not spawner.rescue
        assert spawner.granted_bytes == 900 * MIB
        assert "rescue" not in spawner.get_state()
        assert "CUBEHUB_RESCUE" not in spawner.seen
        await spawner.stop(now=True)
        await spawner.start()
        await spawner.stop(now=True)

    asyncio.run(run())
    assert limits.asked == [("make", "ana"), ("limit", "ana", 2**30), ("limit", "ana", 2**30)]


@pytest.mark.needs("system-python")
def test_a_limit_that_fails_keeps_no_server_from_starting(make, caplog):
    spawner = make(home_limits=Limits(RuntimeError("the disk is on fire")))

    async def run():
        await spawner.start()
        assert await spawner.poll() is None
        await spawner.stop(now=True)

    asyncio.run(run())
    assert "made without a limit: the disk is on fire" in caplog.text
    assert "is not set: the disk is on fire" in caplog.text


@pytest.mark.needs("system-python")
def test_a_refusal_makes_no_home(make, place):
    limits = Limits()
    spawner = make(home_limits=limits)
    spawner.directory = SimpleNamespace(lookup=nobody)
    with pytest.raises(SpawnException):
        asyncio.run(spawner.start())
    assert limits.asked == []
    assert not (place / "homes").exists()


async def nobody(username):
    return Account(username, "id", True, frozenset())


def test_a_trial_that_cannot_be_run_counts_as_room(make, place, caplog):
    (place / "lab" / "bin" / "python").unlink()
    spawner = make()
    for folder in (spawner.home, spawner.run_dir / "tmp"):
        folder.mkdir(parents=True)
    assert spawner.look_for_room() == 0
    assert "Nobody knows whether" in caplog.text


KINDS = [
    "none",
    pytest.param("uid", marks=pytest.mark.needs("root")),
    pytest.param("bubblewrap", marks=pytest.mark.needs("bubblewrap")),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.needs("root", "mounts", "system-python")
def test_in_a_full_home_the_server_is_small_and_writes_elsewhere(make, memory, place, kind):
    memory.mount(place / "homes" / "ana", "2M")
    fill(place / "homes" / "ana")
    spawner = make(isolation=kind)

    async def run():
        await spawner.start()
        assert spawner.rescue
        assert spawner.granted_bytes == spawner.mem_limit == 512 * MIB
        assert [notice.code for notice in spawner.board.notices] == ["home_full"]
        inside = kind == "bubblewrap"
        tmp = "/tmp" if inside else str(spawner.run_dir / "tmp")  # noqa: S108 - its own
        assert spawner.seen["JUPYTER_RUNTIME_DIR"] == f"{tmp}/rescue/jupyter/runtime"
        assert spawner.seen["HOME"] == ("/home/jovyan" if inside else str(spawner.home))
        assert "--FileContentsManager.delete_to_trash=False" in spawner.would_run
        again = make()
        again.load_state(spawner.get_state())
        assert again.rescue
        again.clear_state()
        await spawner.stop(now=True)
        assert not spawner.rescue
        (place / "homes" / "ana" / "big").unlink()
        await spawner.start()
        assert not spawner.rescue
        assert spawner.granted_bytes == 900 * MIB
        assert spawner.board.notices == []
        assert "--FileContentsManager.delete_to_trash=False" not in spawner.would_run

    asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.needs("root", "mounts", "system-python")
def test_where_the_disk_is_full_too_its_files_are_in_memory_and_go_with_it(make, memory, place, kind):
    memory.mount(place / "homes" / "ana", "2M")
    fill(place / "homes" / "ana")
    spawner = make(isolation=kind)
    (spawner.run_dir / "tmp").mkdir(parents=True)
    memory.mount(spawner.run_dir / "tmp", "1M")
    fill(spawner.run_dir / "tmp")

    async def run():
        await spawner.start()
        assert spawner.seen["TMPDIR"] == ("/tmp" if kind == "bubblewrap" else spawner.rescue_tmp)  # noqa: S108 - its own

    asyncio.run(run())
    folder = Path(spawner.rescue_tmp)
    assert folder.parent == Path("/dev/shm")  # noqa: S108 - in memory
    found = folder.stat()
    assert (found.st_mode & 0o777, found.st_uid) == (0o700, spawner.uid)
    memory.unmount(spawner.run_dir / "tmp")
    asyncio.run(spawner.stop(now=True))
    assert not folder.exists()
    assert spawner.rescue_tmp == ""


@pytest.mark.needs("root", "mounts", "system-python")
def test_how_small_can_be_set_and_is_never_more_than_granted(make, memory, place):
    memory.mount(place / "homes" / "ana", "2M")
    fill(place / "homes" / "ana")
    for set_to, given in ((0, 900 * MIB), (2**40, 900 * MIB), (200 * MIB, 200 * MIB)):
        spawner = make(rescue_memory=set_to)
        asyncio.run(start_and_stop(spawner, given))


async def start_and_stop(spawner, given):
    await spawner.start()
    assert spawner.granted_bytes == given
    await spawner.stop(now=True)
