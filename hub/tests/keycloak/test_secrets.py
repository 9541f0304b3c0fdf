import re
import stat

import pytest
from cubehub.secrets import Secrets, write_private


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_made_once_and_private(secrets):
    first = secrets.get("hub")
    assert re.fullmatch(r"[0-9a-f]{64}", first)
    assert Secrets(secrets.folder).get("hub") == first
    assert secrets.get("other") != first
    assert mode(secrets.folder) == 0o700
    assert mode(secrets.path("hub")) == 0o600


def test_an_open_folder_is_closed(tmp_path):
    tmp_path.chmod(0o755)
    Secrets(tmp_path)
    assert mode(tmp_path) == 0o700


def test_open_secrets_are_closed_and_links_left_alone(tmp_path):
    folder = Secrets(tmp_path / "secrets").folder
    (folder / "hub").write_text("x")
    (folder / "hub").chmod(0o644)
    (tmp_path / "elsewhere").touch(mode=0o644)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    Secrets(folder)
    assert mode(folder / "hub") == 0o600
    assert mode(tmp_path / "elsewhere") == 0o644


def test_a_half_written_secret_is_not_taken_for_one(secrets):
    # an empty file is what a power cut can leave
    secrets.path("hub").touch()
    assert len(secrets.get("hub")) == 64


def test_a_password_can_be_typed(secrets):
    password = secrets.password("demo-ana")
    assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", password)
    assert not set(password) & set("l0o1")
    assert secrets.known("demo-ana") == password
    assert secrets.known("demo-none") is None


@pytest.mark.parametrize("name", ["", "../etc", "a/b", ".hidden"])
def test_a_name_cannot_leave_the_folder(secrets, name):
    with pytest.raises(ValueError, match="no name for a secret"):
        secrets.get(name)


def test_nothing_of_a_secret_is_in_its_repr(secrets):
    assert secrets.get("hub") not in repr(secrets)


def test_writing_replaces_in_one_step(tmp_path):
    target = tmp_path / "accounts.txt"
    target.write_text("old")
    target.chmod(0o644)
    write_private(target, "new")
    assert (target.read_text(), mode(target)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [target]
