import os
import signal
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest
from cubehub_gateway import sandbox as sandbox_module
from cubehub_gateway.sandbox import (
    MemoryGroup,
    Sandbox,
    bwrap_prefix,
    environment_paths,
    probe_sandbox,
    remove_memory_group,
    write_identity,
)
from support import LIFT_LIMIT, memory_limit


@pytest.mark.needs("memory-cgroup")
def test_a_memory_group_stops_a_process_at_its_limit(tmp_path):
    group = MemoryGroup("test-limit", 100 * 2**20, tmp_path)
    try:
        code = "x = bytearray({} * 2**20); print(len(x))"
        fits = subprocess.run([sys.executable, "-c", code.format(40)], preexec_fn=group.join, check=False)
        assert fits.returncode == 0
        too_much = subprocess.run(
            [sys.executable, "-c", code.format(200)], preexec_fn=group.join, check=False
        )
        assert too_much.returncode == -signal.SIGKILL
    finally:
        assert remove_memory_group(group.note)
    assert not group.path.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("memory-cgroup")
def test_a_memory_group_goes_with_what_still_runs_in_it(tmp_path):
    group = MemoryGroup("test-busy", 100 * 2**20, tmp_path)
    process = subprocess.Popen(["sleep", "600"], preexec_fn=group.join)  # noqa: PLW1509 -- no threads here
    try:
        assert (group.path / "cgroup.procs").read_text().split() == [str(process.pid)]
        assert remove_memory_group(group.note)
        assert process.wait(10) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
        remove_memory_group(group.note)
    assert not group.path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_names_no_group_harms_nothing(tmp_path):
    other = tmp_path / "cubehub-dask-x"
    other.mkdir()
    for text in (str(other), "/sys/fs/cgroup/memory", "/", "", "x"):
        note = tmp_path / "note"
        note.write_text(text)
        assert remove_memory_group(note)
        assert not note.exists()
    assert other.exists()
    assert remove_memory_group(tmp_path / "none")


@pytest.fixture
def inside(tmp_path):
    """Run a command as a worker runs, with tmp_path/own as its folder and `read_only` shown."""
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    write_identity(tmp_path / "identity")
    found = probe_sandbox(["bwrap"])
    assert found.works, "a test that uses this says so by needs('bubblewrap')"

    def run(*command, read_only=(), **options):
        shown = [*read_only, *environment_paths(Path(sys.prefix))]
        prefix = bwrap_prefix(found, identity=tmp_path / "identity", read_only=shown, workdir=own)
        return subprocess.run(
            [*prefix, *map(str, command)], check=False, capture_output=True, text=True, timeout=60, **options
        )

    return run


@pytest.mark.needs("bubblewrap")
def test_the_sandbox_hides_and_shows(inside, tmp_path):
    hidden, shown, own = (tmp_path / name for name in ("hidden", "shown", "own"))
    for folder in (hidden, shown, own):
        folder.mkdir(exist_ok=True)
        (folder / "file").write_text(folder.name)
    code = (
        "import os, pathlib\n"
        f"assert not os.path.exists({str(hidden)!r}), 'hidden folder is there'\n"
        f"assert pathlib.Path({str(shown / 'file')!r}).read_text() == 'shown'\n"
        "pathlib.Path('result').write_text(os.getcwd())\n"
        f"try: pathlib.Path({str(shown / 'new')!r}).write_text('')\n"
        "except OSError: pass\n"
        "else: raise SystemExit('a read-only folder was written')\n"
        "assert not os.access('/proc/sys/kernel/core_pattern', os.W_OK), 'the kernel can be set'\n"
        "assert not os.path.exists('/etc/ssl/private'), 'private keys of the machine'\n"
        "assert len([p for p in os.listdir('/proc') if p.isdigit()]) < 5\n"
    )
    done = inside(sys.executable, "-c", code, read_only=[shown])
    assert done.returncode == 0, done.stderr
    assert (own / "result").read_text() == str(own)


@pytest.mark.needs("bubblewrap")
def test_what_only_the_gateway_may_read_a_process_may_read_in_its_own_folder(inside, tmp_path):
    """Certificates are 0600: the process inside is the gateway's own user under another number."""
    key = tmp_path / "own" / "dask.pem"
    key.touch(mode=0o600)
    key.write_text("key")
    assert inside("/bin/sh", "-c", "id -u; id -g; id -un; cat dask.pem; echo more > log").stdout.split() == [
        "1000",
        "1000",
        "jovyan",
        "key",
    ]
    assert (tmp_path / "own" / "log").stat().st_uid == os.getuid()
    names = inside("cut", "-d:", "-f1", "/etc/passwd", "/etc/group").stdout.split()
    assert names == ["jovyan", "jovyan"], "accounts of the machine"


@pytest.mark.needs("bubblewrap")
def test_it_has_no_power_and_gets_none_back(inside):
    status = dict(line.split(":\t", 1) for line in inside("cat", "/proc/self/status").stdout.splitlines())
    assert {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {
        "CapInh": 0,
        "CapPrm": 0,
        "CapEff": 0,
        "CapAmb": 0,
    }
    assert status["NoNewPrivs"] == "1"


@pytest.mark.needs("userns-ban")
def test_it_cannot_make_a_user_namespace(inside):
    assert inside("unshare", "--user", "true").returncode != 0
    assert inside("unshare", "--user", "--map-root-user", "--mount", "true").returncode != 0


@pytest.mark.needs("bubblewrap")
def test_it_cannot_set_the_kernel(inside):
    """As root these files ask for the user id alone, so dropped capabilities do not guard them; one starts programs."""
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()
    # what is there already: an escape would show without harm
    assert inside("/bin/sh", "-c", f"cat {pattern} > {pattern}").returncode != 0
    assert inside("test", "-w", pattern).returncode != 0
    assert pattern.read_text() == before
    # and of nothing else than its own processes
    writable = "find /proc -mindepth 1 -path '/proc/[0-9]*' -prune -o -type f -writable -print 2>/dev/null"
    assert inside("/bin/sh", "-c", writable).stdout.split() == []


@pytest.mark.needs("memory-cgroup", "userns-ban")
def test_it_cannot_lift_its_own_limit(inside, tmp_path):
    group = MemoryGroup("test-lift", 200 * 2**20, tmp_path / "notes")
    try:
        before = memory_limit(group.path)
        tried = inside(sys.executable, "-c", LIFT_LIMIT, preexec_fn=group.join)
        assert memory_limit(group.path) == before
        assert "unshare" in tried.stderr, "the attack went further than its first step, or not even there"
        assert tried.stdout == ""
    finally:
        assert remove_memory_group(group.note)


# --- finding out what there is ---


@pytest.fixture
def broken_bwrap(tmp_path, monkeypatch):
    """Put a bubblewrap first in the path that says and does what a line of shell does before the real one starts."""

    def make(line):
        program = tmp_path / "bwrap"
        program.write_text(f"#!/bin/sh\n{line}\nexec '{which('bwrap')}' \"$@\"\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        return program

    return make


def complain(said):
    return f'echo "bwrap: {said}" >&2; exit 1'


IF_BAN = 'case "$*" in *--disable-userns*) {};; esac'


@pytest.mark.needs("bubblewrap")
def test_an_older_bubblewrap_does_what_it_can(broken_bwrap):
    program = broken_bwrap(IF_BAN.format(complain("Unknown option --disable-userns")))
    assert probe_sandbox([str(program)]) == Sandbox((str(program),), works=True, disables_userns=False)


@pytest.mark.needs("bubblewrap")
@pytest.mark.parametrize(
    "line",
    [
        complain("Creating new namespace failed: Resource temporarily unavailable"),
        complain("Can't fork: Cannot allocate memory"),
        complain("Creating new namespace failed: No space left on device"),
        "kill -9 $$",
    ],
)
def test_a_machine_that_ran_out_of_something_takes_no_protection_away(broken_bwrap, line, monkeypatch):
    """Without the ban on user namespaces it would work: that must not be taken for an old bubblewrap."""
    monkeypatch.setattr(sandbox_module, "_most_user_namespaces", lambda: "95000")
    found = probe_sandbox([str(broken_bwrap(IF_BAN.format(line)))])
    assert (found.works, found.certain, found.disables_userns) == (False, False, True)
    assert found.reason


@pytest.mark.parametrize(
    ("said", "most"),
    [
        ("No permissions to create new namespace", "95000"),
        ("Creating new namespace failed: No space left on device", "0"),
    ],
)
def test_a_machine_that_never_can_is_known_for_certain(broken_bwrap, said, most, monkeypatch):
    monkeypatch.setattr(sandbox_module, "_most_user_namespaces", lambda: most)
    found = probe_sandbox([str(broken_bwrap(complain(said)))])
    assert (found.works, found.certain) == (False, True)
    assert said in found.reason
