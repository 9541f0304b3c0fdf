"""What is made of each way in which a reader in another environment can end; by real processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cubehub import checkup
from cubehub.errors import BadInputError, CubeHubError
from cubehub.local.data_folder import DataFolder
from cubehub.reading_elsewhere import Reader, look_at

if TYPE_CHECKING:
    from collections.abc import Callable

READER = Reader("stand_in", "lakes", "lakes_file")


@pytest.fixture
def ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], CubeHubError | None]:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def look(code: str, patience_s: float = 60) -> CubeHubError | None:
        (tmp_path / "stand_in.py").write_text(f"import os, sys, signal, time\n{code}\n")
        try:
            look_at(READER, Path(sys.executable), tmp_path / "lakes.yaml", patience_s)
        except CubeHubError as error:
            return error
        return None

    return look


def test_a_right_list_and_a_wrong_one(ending: Callable[..., CubeHubError | None]) -> None:
    assert ending("sys.stderr.write('a warning')") is None
    wrong = ending("sys.stderr.write('lakes.1.id: missing\\nwrite one\\n'); sys.exit(2)")
    assert isinstance(wrong, BadInputError)
    assert (wrong.message, wrong.hint, wrong.code) == ("lakes.1.id: missing", "write one", "lakes_file")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ModuleNotFoundError(\"No module named 'yaml'\")", ["ended with 1", "No module named 'yaml'"]),
        ("sys.stderr.write('first\\nthe last\\n\\n'); sys.exit(3)", ["ended with 3", "last words: the last"]),
        ("sys.exit(120)", ["ended with 120", "said nothing"]),
        ("sys.exit(2)", ["ended with 2", "said nothing"]),
        ("os.kill(os.getpid(), signal.SIGKILL)", ["ended by signal 9", "said nothing"]),
        ("sys.stderr.buffer.write(b'\\xff bad'); sys.exit(1)", ["ended with 1", "bad"]),
    ],
)
def test_a_reader_that_fails_is_not_taken_for_a_right_list(
    ending: Callable[..., CubeHubError | None], code: str, words: list[str]
) -> None:
    error = ending(code)
    assert error is not None
    assert not isinstance(error, BadInputError)
    assert (error.code, error.exit_status, bool(error.hint)) == ("lakes_file_not_checked", 1, True)
    for word in ("list of lakes", "lakes.yaml", *words):
        assert word in error.message
    assert "Traceback" not in error.message


def test_a_reader_that_does_not_end(ending: Callable[..., CubeHubError | None]) -> None:
    error = ending("time.sleep(600)", patience_s=0.3)
    assert error is not None
    assert "did not end within 0.3 s" in error.message


def test_no_such_module_and_no_such_python(tmp_path: Path) -> None:
    with pytest.raises(CubeHubError, match=r"ended with 1; its last words: .*No module named not_there"):
        look_at(Reader("not_there", "lakes", "l"), Path(sys.executable), tmp_path)
    with pytest.raises(FileNotFoundError):
        look_at(READER, tmp_path / "none", tmp_path)


def test_nothing_of_the_current_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stand_in.py").write_text("import pathlib; pathlib.Path('was_run').touch()")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CubeHubError, match="No module named stand_in"):
        look_at(READER, Path(sys.executable), tmp_path)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(("name", "look"), [("cubes", checkup.cubes), ("lab", checkup.catalogues)])
def test_the_doctor_tells_a_reader_that_fails(
    tmp_path: Path, name: str, look: Callable[[DataFolder], checkup.Finding]
) -> None:
    data = DataFolder(tmp_path)
    assert look(data).level == "note"
    python = data.envs / name / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho out of memory >&2\nexit 7\n")
    python.chmod(0o755)
    found = look(data)
    assert (found.level, found.code.endswith("_not_checked")) == ("problem", True)
    assert "ended with 7; its last words: out of memory" in found.message
