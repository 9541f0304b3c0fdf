from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from cubehub import examples
from cubehub.examples import FOLDER, give_examples

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "first.ipynb").write_text("{}")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "homes" / "ana"
    folder.mkdir(parents=True)
    return folder


def leftovers(home: Path) -> list[str]:
    return [path.name for at in (home.parent, home) for path in at.iterdir() if "examples-" in path.name]


def test_examples_are_given_once(home: Path, source: Path) -> None:
    assert give_examples(home, source)
    assert (home / FOLDER / "first.ipynb").read_text() == "{}"
    (home / FOLDER / "first.ipynb").write_text("mine")
    assert not give_examples(home, source)
    assert (home / FOLDER / "first.ipynb").read_text() == "mine"
    assert not leftovers(home)


def test_deleted_examples_do_not_come_back(home: Path, source: Path) -> None:
    give_examples(home, source)
    shutil.rmtree(home / FOLDER)
    assert not give_examples(home, source)
    assert not (home / FOLDER).exists()


def test_a_link_of_that_name_is_not_followed(home: Path, source: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (home / FOLDER).symlink_to(elsewhere)
    assert not give_examples(home, source)
    assert not list(elsewhere.iterdir())
    assert (home / FOLDER).is_symlink()
    assert not leftovers(home)


def test_a_home_that_is_a_link_is_refused(home: Path, source: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home.rmdir()
    home.symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        give_examples(home, source)
    assert not list(elsewhere.iterdir())
    assert not leftovers(home)


def test_a_copy_that_failed_is_tried_again(home: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(examples, "_copy", full)
        with pytest.raises(OSError, match="No space"):
            give_examples(home, source)
    assert give_examples(home, source)
