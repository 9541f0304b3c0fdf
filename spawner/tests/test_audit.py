"""The audit log: whole lines or an error."""

import json
import subprocess
import sys

import pytest
from cubehub_spawner import audit


def test_each_decision_is_one_line(tmp_path):
    file = tmp_path / "logs" / "audit.jsonl"
    for user in ("ana", "petra\n", "\ud800"):
        audit.append(file, {"user": user})
    assert [json.loads(line)["user"] for line in file.read_text().splitlines()] == [
        "ana",
        "petra\n",
        "\ud800",
    ]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        audit.append(tmp_path / "audit.jsonl", {})
    assert not (tmp_path / "elsewhere").exists()


CUT = """
import resource, sys
from pathlib import Path
from cubehub_spawner import audit
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
try: audit.append(Path(sys.argv[1]), {"user": "x" * 100})
except OSError as error: print(error.strerror)
"""


def test_a_line_that_is_cut_is_an_error(tmp_path):
    """As on a disk that is full: the kernel takes a part of the line and reports no error."""
    ran = subprocess.run(
        [sys.executable, "-c", CUT, str(tmp_path / "audit.jsonl")], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "No space left on device"
    audit.append(tmp_path / "audit.jsonl", {"user": "next"})
    cut, whole = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert cut.startswith('{"user":"xxx')
    assert json.loads(whole) == {"user": "next"}
