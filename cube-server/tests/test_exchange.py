"""A finished folder takes the place of another one, and readers find one at every moment."""

import errno
import threading

import pytest

from xcube_cubehub import exchange


@pytest.fixture
def folders(tmp_path):
    new, place = tmp_path / ".building-lake", tmp_path / "lake"
    for folder, text in ((new, "new"), (place, "old")):
        folder.mkdir()
        (folder / "a").write_text(text)
    return new, place


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_old_one_goes(folders, tmp_path):
    new, place = folders
    exchange.put_in_place(new, place)
    assert (place / "a").read_text() == "new"
    assert left(tmp_path) == ["lake"]


def test_the_first_one_comes(folders, tmp_path):
    new, _ = folders
    exchange.put_in_place(new, tmp_path / "other")
    assert (tmp_path / "other" / "a").read_text() == "new"
    assert left(tmp_path) == ["lake", "other"]


def test_file_systems_that_cannot_exchange(folders, tmp_path, monkeypatch):
    def cannot(_one, _other):
        raise OSError(errno.EINVAL, "invalid")

    monkeypatch.setattr(exchange, "_exchange", cannot)
    test_the_old_one_goes(folders, tmp_path)


def test_what_fails_leaves_the_old_one(folders, tmp_path, monkeypatch):
    new, place = folders

    def fails(_one, _other):
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(exchange, "_exchange", fails)
    with pytest.raises(OSError, match="broken"):
        exchange.put_in_place(new, place)
    assert (place / "a").read_text() == "old"
    assert left(tmp_path) == [".building-lake", "lake"]


def test_there_is_one_at_every_moment(tmp_path):
    place, ended, missing = tmp_path / "lake", threading.Event(), []

    def look():
        while not ended.is_set():
            try:
                (place / "a").read_text()
            except OSError as error:
                missing.append(error)

    def build(number):
        new = tmp_path / ".building-lake"
        new.mkdir()
        (new / "a").write_text(str(number))
        exchange.put_in_place(new, place)

    build(0)
    reader = threading.Thread(target=look)
    reader.start()
    for number in range(300):
        build(number)
    ended.set()
    reader.join()
    assert not missing
