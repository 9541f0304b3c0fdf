import os
import subprocess
from pathlib import Path

import pytest
from cubehub_spawner import isolation as isolation_module
from cubehub_spawner.isolation import HOME_INSIDE, isolate, probe_isolation, python_paths, write_identity


def pairs(argv, flag):
    return [(argv[i + 1], argv[i + 2]) for i, word in enumerate(argv) if word == flag]


def test_only_what_is_named_is_shown():
    argv = isolate(
        ["prog", "--opt"],
        read_only=["/envs/lab"],
        read_write=["/shared"],
        binds={"/homes/ana": "/home/jovyan"},
        read_only_binds={"/cg/ana": "/run/cubehub/memory"},
        chdir="/home/jovyan",
    )
    assert argv[-3:] == ["--", "prog", "--opt"]
    assert pairs(argv, "--bind") == [("/shared", "/shared"), ("/homes/ana", "/home/jovyan")]
    assert pairs(argv, "--ro-bind") == [("/cg/ana", "/run/cubehub/memory")]
    assert ("/envs/lab", "/envs/lab") in pairs(argv, "--ro-bind-try")
    shown = {outside for outside, _ in pairs(argv, "--ro-bind-try")}
    assert "/etc" not in shown
    assert not shown & {"/", "/home", "/root", "/var", "/run", "/proc", "/sys", "/etc/shadow"}
    assert "/proc/sys" in shown
    assert "--die-with-parent" not in argv, "servers outlive a restart of the Hub"
    assert "--setenv" not in argv, "arguments are public, the environment holds tokens"
    assert "--die-with-parent" in isolate(["prog"], die_with_parent=True)


def test_the_identity_that_servers_see_is_not_written_under_their_eyes(tmp_path):
    first = write_identity(tmp_path)
    written = [path.stat().st_mtime_ns for path in first]
    assert write_identity(tmp_path) == first
    assert [path.stat().st_mtime_ns for path in first] == written
    (tmp_path / "passwd").write_text("of an earlier version\n")
    write_identity(tmp_path)
    assert "jovyan" in (tmp_path / "passwd").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["group", "passwd"]


def test_python_of_an_environment_is_followed_hop_by_hop(tmp_path):
    real = tmp_path / "cpython-3.11.9" / "bin"
    real.mkdir(parents=True)
    (real / "python3.11").touch()
    (real / "python3").symlink_to("python3.11")
    (tmp_path / "cpython-3.11").symlink_to("cpython-3.11.9")
    env = tmp_path / "lab" / "bin"
    env.mkdir(parents=True)
    (env / "python").symlink_to(tmp_path / "cpython-3.11" / "bin" / "python3")
    assert python_paths(tmp_path / "lab") == [
        tmp_path / "lab",
        tmp_path / "cpython-3.11",
        tmp_path / "cpython-3.11.9",
    ]


def test_python_of_the_system_needs_nothing(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/usr/bin/python3")
    assert python_paths(tmp_path) == [tmp_path]


@pytest.fixture
def broken_bwrap(tmp_path, monkeypatch):
    """Put a bubblewrap first in the path that fails with a message, as long as it stands in a file."""

    def make(said):
        (tmp_path / "said").write_text(said)
        program = tmp_path / "bwrap"
        program.write_text(
            f"#!/bin/sh\ntest ! -e '{tmp_path}/said' || {{ cat '{tmp_path}/said' >&2; exit 1; }}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.setattr(isolation_module, "_found", None)
        return tmp_path / "said"

    return make


@pytest.mark.parametrize(
    "said",
    [
        "bwrap: Creating new namespace failed: Resource temporarily unavailable",
        "bwrap: Can't fork: Cannot allocate memory",
        "bwrap: Creating new namespace failed: No space left on device",
    ],
)
def test_a_machine_that_ran_out_of_something_is_asked_again(broken_bwrap, said, monkeypatch):
    monkeypatch.setattr(isolation_module, "_most_user_namespaces", lambda: "95000")
    message = broken_bwrap(said)
    found = probe_isolation()
    assert (found.kind, found.certain) == ("none", False)
    assert said in found.reason
    message.unlink()
    assert probe_isolation().kind == "bubblewrap"


@pytest.mark.parametrize(
    ("said", "most"),
    [
        ("bwrap: No permissions to create new namespace", "95000"),
        ("bwrap: Creating new namespace failed: No space left on device", "0"),
    ],
)
def test_a_machine_that_never_can_is_asked_once(broken_bwrap, said, most, monkeypatch):
    monkeypatch.setattr(isolation_module, "_most_user_namespaces", lambda: most)
    message = broken_bwrap(said)
    assert probe_isolation().certain
    message.unlink()
    assert probe_isolation().kind != "bubblewrap"


@pytest.fixture
def shell(tmp_path):
    """Run a shell line inside, with tmp_path/home as home and tmp_path/env read-only."""
    isolation = probe_isolation()
    assert isolation.kind == "bubblewrap", "a test that uses this says so by needs('bubblewrap')"
    for name in ("home", "env", "secrets"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "secrets" / "key").write_text("hunter2")
    (tmp_path / "env" / "tool").write_text("tool")

    def run(line):
        argv = isolate(
            ["/bin/sh", "-c", line],
            read_only=[tmp_path / "env"],
            read_only_binds=write_identity(tmp_path / "etc"),
            binds={tmp_path / "home": HOME_INSIDE},
            chdir=HOME_INSIDE,
            program=isolation.program,
            disables_userns=isolation.disables_userns,
        )
        env = {"PATH": "/usr/bin:/bin", "HOME": str(HOME_INSIDE)}
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=env, timeout=20)

    return run


@pytest.mark.slow
@pytest.mark.needs("bubblewrap")
def test_a_hostile_process_sees_and_changes_nothing_of_the_machine(shell, tmp_path):
    assert shell(f"cat {tmp_path}/secrets/key").returncode != 0
    assert shell("cat /etc/shadow").returncode != 0
    assert shell(f"ls {tmp_path}").stdout.split() == ["env"]
    assert shell(f"ls /root {Path.home()}").stdout.strip() in {"", f"{Path.home()}:"}
    assert shell(f"cat {tmp_path}/env/tool").stdout == "tool"
    for target in (f"{tmp_path}/env/tool", "/usr/x", "/etc/x", "/x", "/run/cubehub"):
        assert shell(f"echo bad > {target}").returncode != 0, target
    assert (tmp_path / "env" / "tool").read_text() == "tool"
    processes = shell("ls -d /proc/[0-9]*").stdout.split()
    assert len(processes) <= 3, processes
    assert shell("ls /sys/fs/cgroup 2>&1 | grep -c memory").stdout.strip() == "0"


@pytest.mark.slow
@pytest.mark.needs("bubblewrap")
def test_it_cannot_get_power_back(shell):
    isolation = probe_isolation()
    assert shell("grep CapEff /proc/self/status").stdout.split()[1].strip("0") == ""
    assert "NoNewPrivs:\t1" in shell("cat /proc/self/status").stdout
    if isolation.disables_userns:
        assert shell("unshare -Urm true").returncode != 0, (
            "a user namespace would let it mount the cgroup tree"
        )


@pytest.mark.slow
@pytest.mark.needs("bubblewrap")
def test_it_cannot_set_the_kernel(shell):
    """As root these files ask for the user id alone, so dropped capabilities do not guard them; one starts programs."""
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    # what is there already: an escape would show without harm
    assert shell("cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern").returncode != 0
    assert shell("test -w /proc/sys/kernel/core_pattern").returncode != 0
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before
    # and of nothing else than its own processes
    writable = "find /proc -mindepth 1 -path '/proc/[0-9]*' -prune -o -type f -writable -print 2>/dev/null"
    assert shell(writable).stdout.split() == []


@pytest.mark.slow
@pytest.mark.needs("bubblewrap")
def test_home_and_tmp_are_its_own(shell, tmp_path):
    assert shell("echo hi > file; echo t > /tmp/t; whoami; pwd").stdout.split() == [
        "jovyan",
        str(HOME_INSIDE),
    ]
    assert (tmp_path / "home" / "file").read_text() == "hi\n"
    assert shell("cat /tmp/t").returncode != 0, "nothing of /tmp is left for the next one"
