"""A home that fills up is warned of at 80 % and at 95 %, once each."""

import os

from cubehub_account.filling import Filling
from cubehub_account.home import HomeCounter, HomeSize, count
from cubehub_account.hub_link import News
from cubehub_account.state import State

GIB, MIB = 2**30, 2**20


def said(filling, used):
    notice = filling.notice(used, 100 * GIB, "t")
    return notice and notice["code"]


def test_each_warning_comes_once():
    filling = Filling()
    order = [79 * GIB, 80 * GIB, 81 * GIB, 70 * GIB, 85 * GIB, 96 * GIB, 50 * GIB, 99 * GIB, 82 * GIB]
    assert [said(filling, used) for used in order] == [
        None, "home_filling", None, None, None, "home_full", None, None, None
    ]  # fmt: skip


def test_a_home_that_is_found_almost_full_is_told_that_alone():
    filling = Filling()
    assert [said(filling, 97 * GIB), said(filling, 85 * GIB)] == ["home_full", None]
    assert filling.notice(GIB, 0, "t") is None


def test_the_words_have_the_numbers():
    notice = Filling().notice(4198 * MIB, 5 * GIB, "t")
    assert notice["message"] == "Your home is filling up: 4.1 GiB of 5 GiB, 81 %."
    assert len(notice["message"] + notice["hint"]) < 140
    assert "1020 MiB of 1 GiB" in Filling().notice(1020 * MIB, GIB, "t")["message"]


def test_the_server_says_it_among_its_news(tmp_path):
    counter = HomeCounter(str(tmp_path))
    counter.size = lambda: HomeSize(90, complete=False)
    state = State(News(server={"storage_bytes": 100}), counter)
    assert [notice["code"] for notice in state.status()["notices"]] == ["home_filling"]
    assert len(state.status()["notices"]) == 1
    state.news.server = {"storage_bytes": None}
    assert len(state.status()["notices"]) == 1


def test_the_folders_near_the_top_are_counted_with_all_below(tmp_path):
    deep = tmp_path / "data" / "old" / "2019" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "big").write_bytes(os.urandom(2 * MIB))
    (tmp_path / "data" / "new").mkdir()
    (tmp_path / "data" / "new" / "x").write_bytes(os.urandom(MIB))
    (tmp_path / "own").write_bytes(os.urandom(MIB))
    (tmp_path / os.fsdecode(b"100%\n\xff")).mkdir()
    found = count(str(tmp_path))
    by = {folder.path: folder for folder in found.folders}
    assert set(by) == {"", "data", "data/old", "data/old/2019", "data/new", "100%25%0A%FF"}
    assert by[""].bytes == found.bytes
    assert by[""].files == 3
    assert by["data"].files == 2
    assert by["data/old"].bytes >= 2 * MIB > by["data/new"].bytes >= MIB
    assert [folder.path for folder in found.folders][:3] == ["", "data", "data/old"]
    assert found.counted.endswith("+00:00")


def test_so_many_folders_count_in_the_one_above(tmp_path, monkeypatch):
    monkeypatch.setattr("cubehub_account.home._MOST_FOLDERS", 10)
    monkeypatch.setattr("cubehub_account.home._MOST_TOLD", 5)
    for number in range(30):
        (tmp_path / f"folder-{number}").mkdir()
        (tmp_path / f"folder-{number}" / "x").write_bytes(os.urandom(10_000))
    found = count(str(tmp_path))
    assert len(found.folders) == 5
    assert found.folders[0].files == 30
    assert found.folders[0].bytes == found.bytes > 300_000
