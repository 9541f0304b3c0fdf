"""No secret is where somebody else could read it."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cubehub_tests.platform import Whole
from cubehub_tests.servers import Account

pytestmark = pytest.mark.whole
OTHERS = stat.S_IRWXG | stat.S_IRWXO
# environments and programs are thousands of files that were made before any secret was
LARGE = ("envs", "node/node_modules", "cubes")


def secret_values(whole: Whole) -> dict[str, bytes]:
    """Give every secret of the platform by its name."""
    found = {
        path.name: path.read_bytes().strip() for path in (whole.data / "secrets").iterdir() if path.is_file()
    }
    found |= {f"password of {name}": password.encode() for name, password in whole.accounts.items()}
    assert len(found) > 8
    assert all(len(value) >= 16 for value in found.values()), [
        name for name, value in found.items() if len(value) < 16
    ]
    return found


def files_below(whole: Whole) -> Iterator[tuple[Path, int, bytes]]:
    """Give path, mode and content of the files that parts write, and remove again, while they run."""
    skipped = {whole.data / name for name in LARGE}
    for folder, folders, names in os.walk(whole.data):
        folders[:] = [name for name in folders if Path(folder, name) not in skipped]
        for path in (Path(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    yield path, status.st_mode, path.read_bytes()


def test_no_secret_in_a_log(whole: Whole, ana: Account) -> None:
    ana.start()
    logs = {
        path: content
        for path, _, content in files_below(whole)
        if path.suffix in {".log", ".jsonl"} or path.parent.name == "logs"
    }
    assert {"hub.log", "keycloak.log", "up.log"} <= {path.name for path in logs}
    token = ana.api.headers["Authorization"].split()[1].encode()
    wanted = secret_values(whole) | {"token of ana": token}
    found = [
        (str(log), name)
        for log, content in logs.items()
        for name, value in wanted.items()
        if value in content
    ]
    assert found == []


def test_no_secret_in_a_command_line(whole: Whole, ana: Account) -> None:
    ana.start()
    values = secret_values(whole)
    found = []
    for process in psutil.process_iter():
        try:
            line = "\0".join(process.cmdline()).encode()
        except psutil.Error:
            continue
        found += [(process.pid, name) for name, value in values.items() if value in line]
    assert found == []


def test_files_with_secrets_are_the_owners_alone(whole: Whole, ana: Account) -> None:
    ana.start()
    assert stat.S_IMODE((whole.data / "secrets").stat().st_mode) == 0o700
    values = secret_values(whole)
    open_files = []
    holders = set()
    for path, mode, content in files_below(whole):
        names = [name for name, value in values.items() if value in content]
        if names:
            holders.add(path.relative_to(whole.data).parts[0])
            if mode & OTHERS:
                open_files.append((str(path.relative_to(whole.data)), oct(mode & 0o777), names))
    assert {"secrets", "accounts.txt", "run"} <= holders
    assert open_files == []


def test_folders_are_closed(whole: Whole) -> None:
    # others may pass through the root and the catalogue's folder, which PostgreSQL's user needs, and not list them
    may_pass = {whole.data, whole.data / "catalogue"}
    wrong = {}
    for path in [whole.data, *(path for path in whole.data.iterdir() if path.is_dir())]:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode != (0o711 if path in may_pass else 0o700):
            wrong[path.name] = oct(mode)
    assert wrong == {}


def test_a_servers_environment_holds_its_own_token_only(whole: Whole, ana: Account) -> None:
    ana.start()
    values = secret_values(whole)
    with ana.kernel() as kernel:
        inside = kernel.run("import os; print(os.environ)").stdout
    assert [name for name, value in values.items() if value.decode(errors="replace") in inside] == []
    assert "JUPYTERHUB_CRYPT_KEY" not in inside


@pytest.mark.needs("bubblewrap")
def test_a_notebook_reads_nothing_of_the_platform(whole: Whole, ana: Account, petra: Account) -> None:
    ana.start()
    petra.start()
    homes = sorted(str(path) for path in (whole.data / "homes").iterdir())
    assert len(homes) >= 2
    tried = [
        *(
            str(whole.data / name)
            for name in ("secrets", "hub", "run", "logs", "accounts.txt", "state.json", "keycloak", "homes")
        ),
        *(str(path) for path in (whole.data / "secrets").iterdir()),
        str(whole.data / "hub/jupyterhub.sqlite"),
        *homes,
        "/etc/shadow",
        *(str(Path.home() / name) for name in (".bashrc", ".profile", ".ssh", ".cache")),
    ]
    code = f"""
import os
def reads(path):
    try:
        return bool(os.listdir(path)) if os.path.isdir(path) else len(open(path, 'rb').read()) > 0
    except OSError:
        return False
print([path for path in {tried!r} if reads(path)])
"""
    with ana.kernel() as kernel:
        assert kernel.run(code).text == "[]"
        others = kernel.run(
            "import os; print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit())[-1])"
        ).text
        assert int(others) < 1000, "processes of others are seen"
    petra.stop()


def test_nobody_else_can_listen_to_a_kernel(ana: Account) -> None:
    """A kernel's output goes in clear to whoever connects: over TCP, to everybody on the machine."""
    ana.start()
    with ana.kernel() as kernel:
        said = kernel.run(
            "import json; from ipykernel.connect import get_connection_file\n"
            "print(json.load(open(get_connection_file()))['transport'])"
        )
        assert said.text == "ipc"
