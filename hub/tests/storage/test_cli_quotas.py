"""`cubehub storage quotas` as an administrator uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from cubehub.cli import load_commands
from cubehub.cli import quotas as command
from cubehub.errors import CubeHubError
from cubehub.local.data_folder import DataFolder
from cubehub.storage.quotas import BtrfsQuota, NoQuota, find
from cubehub.storage.quotas.base import QuotaError

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20
PROFILES = """
profiles:
  small: {title: Small, groups: [/small], memory: 200M, cpu: 1, storage: 20M}
  large: {title: Large, groups: [/large], memory: 400M, cpu: 1, storage: 50M}
"""


class Accounts:
    """The accounts service, which answers in pages of two."""

    def ask(self, method: str, path: str, params: dict[str, Any]) -> dict[str, Any]:
        assert (method, path) == ("GET", "/users")
        people = [("ana", "small"), ("Ben", "large"), ("eve", None), ("new", "small")]
        first = params["first"]
        page = [
            {"name": name, "id": f"id-{name}", "profile": profile}
            for name, profile in people[first : first + 2]
        ]
        return {"users": page, "more": first + 2 < len(people)}


def prepared(root: Path) -> DataFolder:
    folder = DataFolder(root / "data")
    folder.prepare()
    (folder.root / "config").mkdir()
    (folder.root / "config" / "profiles.yaml").write_text(PROFILES)
    return folder


def run(data: DataFolder, *words: str) -> Result:
    return CliRunner().invoke(load_commands(), ["storage", "quotas", *words, "--data", str(data.root)])


def test_where_there_is_no_btrfs_nothing_is_switched_on() -> None:
    with pytest.raises(QuotaError, match=r"the homes lie on proc \(/proc\)"):
        BtrfsQuota().switch_on(Path("/proc"))


def test_why_nothing_limits_homes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find", lambda root: find(root, (BtrfsQuota(tmp_path), NoQuota())))
    data = prepared(tmp_path)
    monkeypatch.setattr("cubehub.storage.quotas.base.os.geteuid", lambda: 1000)
    ran = run(data)
    assert ran.exit_code == 0, ran.output
    assert "Nothing holds homes to a limit here" in ran.stdout
    assert "btrfs: only root may set limits" in ran.stdout
    found = json.loads(run(data, "--json").stdout)
    assert (found["backend"], found["support"]["btrfs"]["works"]) == ("none", False)
    refused = run(data, "--apply")
    assert refused.exit_code == 1
    assert "No limits can be set" in refused.stderr


def test_a_folder_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    ran = run(prepared(tmp_path), "--homes", str(tmp_path / "gone"))
    assert ran.exit_code == 2
    assert "--homes" in ran.stderr


@pytest.mark.needs("root", "mounts", "mkfs")
def test_each_home_gets_the_limit_of_its_profile(
    mounted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepared(mounted("btrfs"))
    monkeypatch.setattr(command, "service", lambda _: Accounts())
    assert "--switch-on" in run(data).stdout
    backend = BtrfsQuota()
    for home in ("ana", "eve", "gone"):
        backend.make(data.homes / home)
    ran = run(data, "--switch-on")
    assert ran.exit_code == 0, ran.output
    assert "held to limits by btrfs" in ran.stdout
    assert "1 of 3 homes have another limit" in ran.stdout
    ran = run(data, "--apply")
    assert ran.exit_code == 0, ran.output
    assert backend.usage(data.homes / "ana").limit == 20 * MIB
    assert "eve: eve has no profile" in ran.stdout
    assert "gone: nobody has it now" in ran.stdout
    backend.make(data.homes / "ben")  # as the Hub writes Ben
    (data.homes / ".ben.account").write_text("id-of-an-earlier-Ben")
    (data.homes / "new").mkdir()
    ran = run(data, "--apply", "--json")
    assert ran.exit_code == 1, "a home that is a folder can't be limited"
    there = {line["home"]: line for line in json.loads(ran.stdout)["homes"]}
    assert there["ana"] | {"used": 0} == {
        "home": "ana", "user": "ana", "profile": "small", "should_have": 20 * MIB, "limit": 20 * MIB, "used": 0,
        "why": "", "hint": "",
    }  # fmt: skip
    assert "subvolumes only" in there["new"]["why"]
    assert (there["ben"]["user"], there["ben"]["limit"]) == (None, None)
    (data.homes / ".ben.account").write_text("id-Ben")
    there = {line["home"]: line for line in json.loads(run(data, "--apply", "--json").stdout)["homes"]}
    assert (there["ben"]["user"], there["ben"]["limit"]) == ("Ben", 50 * MIB)


@pytest.mark.needs("root", "mounts", "mkfs")
def test_without_the_platform_use_is_shown_and_nothing_set(
    mounted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: object) -> Accounts:
        raise CubeHubError("CubeHub does not run.", "Start it.")

    data = prepared(mounted("btrfs"))
    BtrfsQuota().switch_on(data.homes)
    BtrfsQuota().make(data.homes / "ana")
    BtrfsQuota().limit(data.homes / "ana", 5 * MIB)
    monkeypatch.setattr(command, "service", silent)
    ran = run(data)
    assert ran.exit_code == 0, ran.output
    assert "CubeHub does not run" in ran.stdout
    assert "5 MiB" in ran.stdout
    assert run(data, "--apply").exit_code == 1
    assert BtrfsQuota().usage(data.homes / "ana").limit == 5 * MIB
