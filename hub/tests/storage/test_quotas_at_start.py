"""A server's start on btrfs with limits: the spawner and the back end together."""

from __future__ import annotations

import asyncio
import os
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cubehub.examples import FOLDER, welcome
from cubehub.storage.quotas import BtrfsQuota
from cubehub.storage.quotas.homes import HomeLimits
from cubehub_spawner import Account, ProfileLocalSpawner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 2**20
PROFILES = "profiles: {small: {title: Small, groups: [/small], memory: 900M, cpu: 1, storage: 20M}}"


class Directory:
    async def lookup(self, username: str) -> Account:
        return Account(username, "id", True, frozenset({"/small"}))


class Sleeper(ProfileLocalSpawner):  # type: ignore[misc]
    """Without a Hub: a server that sleeps and listens nowhere."""

    def get_env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"]}

    def server_command(self) -> list[str]:
        return ["/bin/sleep", "300"]

    async def own_port(self) -> bool:
        return True


def spawner_of(root: Path, name: str) -> Any:
    spawner = Sleeper(
        orm_spawner=SimpleNamespace(name="", server=None, user_options=None),
        directory=Directory(),
        profiles_file=str(root / "profiles.yaml"),
        homes_dir=str(root / "homes"),
        state_dir=str(root / "servers"),
        lab_prefix=str(root / "lab"),
        enforcers=["watchdog"],
        isolation="none",
        home_hook=welcome,
        home_limits=HomeLimits(),
        trust_everyone=True,
    )
    database = SimpleNamespace(commit=lambda: None)
    spawner.user = SimpleNamespace(name=name, escaped_name=name, spawners={}, db=database)
    spawner.hub, spawner.handler = SimpleNamespace(base_url="/hub/"), None
    return spawner


@pytest.fixture
def root(mounted: Callable[..., Path]) -> Path:
    at = mounted("btrfs")
    (at / "profiles.yaml").write_text(PROFILES)
    (at / "lab" / "bin").mkdir(parents=True)
    (at / "lab" / "bin" / "python").symlink_to("/usr/bin/python3")
    return at


@pytest.mark.needs("root", "mounts", "mkfs", "system-python")
def test_a_new_home_is_limited_and_at_its_limit_the_server_is_a_rescue(root: Path) -> None:
    backend = BtrfsQuota()
    backend.switch_on(root)
    home = root / "homes" / "ana"

    async def start() -> tuple[bool, list[str]]:
        spawner = spawner_of(root, "ana")
        await spawner.start()
        found = spawner.rescue, [notice.code for notice in spawner.board.notices]
        await spawner.stop(now=True)
        return found

    assert asyncio.run(start()) == (False, [])
    assert (home / FOLDER).is_dir(), "examples can be given to a subvolume too"
    assert backend.usage(home).limit == 20 * MIB
    filled = subprocess.run(
        ["dd", "if=/dev/urandom", f"of={home}/big", "bs=64k", "count=800", "conv=fsync"],
        check=False, capture_output=True, text=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert "quota exceeded" in filled.stderr
    assert asyncio.run(start()) == (True, ["home_full"])
    (home / "big").unlink()
    subprocess.run(["sync", "-f", root], check=True)
    assert asyncio.run(start()) == (False, [])


@pytest.mark.needs("root", "mounts", "mkfs", "system-python")
def test_without_quotas_a_server_starts_as_before(root: Path) -> None:
    async def start() -> bool:
        spawner = spawner_of(root, "ana")
        await spawner.start()
        await spawner.stop(now=True)
        return bool(spawner.home.is_dir() and not spawner.rescue)

    assert asyncio.run(start())
