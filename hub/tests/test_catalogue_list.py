"""The list of catalogues is looked at before anybody's server reads it, and given to all of them."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from cubehub.catalogue_list import check_catalogues, give_catalogues
from cubehub.errors import BadInputError
from cubehub.local.data_folder import DataFolder
from cubehub.resources import resource
from cubehub.settings import ConfigFolder


def test_the_shipped_list_is_right_and_a_wrong_one_is_told_by_file_catalogue_and_key(tmp_path: Path) -> None:
    check_catalogues(Path(sys.executable), resource("config", "catalogues.yaml"))
    wrong = tmp_path / "catalogues.yaml"
    wrong.write_text("catalogues: [{id: other, title: T, url: 'ftp://x'}]")
    with pytest.raises(BadInputError) as caught:
        check_catalogues(Path(sys.executable), wrong)
    assert all(word in caught.value.message for word in (str(wrong), "other", "ftp://x"))
    assert caught.value.hint


def test_people_can_read_the_operators_own_list(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    (own / "catalogues.yaml").write_text("catalogues: []\n")
    (own / "catalogues.yaml").chmod(0o600)
    data = DataFolder(tmp_path / "data")
    data.prepare()
    for _ in range(2):
        given = give_catalogues(data, ConfigFolder(own))
        assert given.read_text() == "catalogues: []\n"
        assert stat.S_IMODE(given.stat().st_mode) == 0o644
    assert [file.name for file in data.catalogue.iterdir()] == ["catalogues.yaml"]
