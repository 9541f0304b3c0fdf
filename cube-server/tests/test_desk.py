"""Taking cubes in: who waits for whom, and what is left of what fails."""

import errno

import pytest

from publisher import IDS, wish
from xcube_cubehub.config import ServerSettings
from xcube_cubehub.publishing import uploads
from xcube_cubehub.publishing.desk import Desk
from xcube_cubehub.publishing.model import PublishError, Wish
from xcube_cubehub.publishing.rules import Person

ANA = Person("ana", IDS["ana"], frozenset(), may_publish=True)


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "cubes.yaml").write_text(
        "cubes: [{id: ana--mine, title: O, access: public, attribution: n, variables: [{name: v, range: [0, 1]}]}]"
    )
    settings = ServerSettings(
        port=0, public_url="http://h", cubes_dir=tmp_path / "cubes", cubes_yaml=tmp_path / "cubes.yaml",
        issuer="http://k", state_dir=tmp_path / "state",
    )  # fmt: skip
    return Desk(settings)


def test_a_name_of_the_operator_s_is_refused(desk):
    with pytest.raises(PublishError, match="of its own"):
        desk.begin(Wish.model_validate(wish("mine", 1)), ANA)


def test_a_part_does_not_wait_for_a_step_that_is_being_written(desk):
    begun = desk.begin(Wish.model_validate(wish("waits", 1)), ANA)
    upload = desk._uploads[begun["upload"]]
    with upload.lock:
        upload.writing = True
        with pytest.raises(PublishError) as refused:
            desk.put(begun["upload"], ANA, 0, "chl", 0, "0" * 64, b"")
        desk.give_up(begun["upload"], ANA)
        assert refused.value.status == 503
        assert upload.folder.exists(), "whoever writes it still does"
    desk.sweep()
    assert not upload.folder.exists()


def test_an_upload_that_cannot_begin_leaves_nothing(desk, tmp_path, monkeypatch):

    def full(*_args, **_more):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(uploads, "write_whole", full)
    with pytest.raises(PublishError, match="disk is full"):
        desk.begin(Wish.model_validate(wish("other", 1)), ANA)
    assert not list((tmp_path / "cubes/published/uploads").iterdir())
