import os
import re

import pytest
from cubehub_spawner.names import group_name, home_name, slug
from hypothesis import example, given
from hypothesis import strategies as st

VALID = re.compile(r"[a-z][a-z0-9-]{0,47}")
near = st.text(alphabet="ab-_@. AÄ0", max_size=6)
names = near | st.text(max_size=200)


@given(names)
@example("")
@example("-")
@example("a" * 200)
@example("ünïcödé")
@example("..")
@example("a/b")
def test_valid(text):
    assert VALID.fullmatch(slug(text))


@given(names, names)
@example("a@b", "a_b")
@example("a" * 200, "a" * 199)
@example("ana", "Ana")
@example("a-b", "a--b")
def test_distinct(one, other):
    assert (slug(one) == slug(other)) == (one == other)


@given(names)
def test_a_name_made_up_to_look_like_a_digest_is_not_kept(text):
    assert slug(slug(text)) == slug(text) or "--" in slug(text)


def test_plain_names_are_kept():
    assert [home_name(name) for name in ("ana", "user-1", "x2")] == ["ana", "user-1", "x2"]


@given(names, names, names, names)
def test_groups_are_distinct_and_valid_unit_names(user, server, other_user, other_server):
    one, other = group_name(user, server, "/a"), group_name(other_user, other_server, "/a")
    assert (one == other) == ((user, server) == (other_user, other_server))
    assert re.fullmatch(r"cubehub-[a-z0-9.-]+", one)
    assert len(one) < 128
    assert group_name(user, server, "/a") != group_name(user, server, "/b")


LONGEST_FILE_NAME = 255
"""Bytes, of a file, a cgroup and a systemd unit alike."""
longest = st.text(min_size=200, max_size=300) | st.sampled_from(
    ["a" * 200, "ä" * 200, "名" * 200, "a-" * 100]
)


@given(longest, longest)
def test_the_longest_names_leave_room_for_what_is_put_behind_them(user, server):
    group, home = group_name(user, server, "/a"), home_name(user)
    account = "0" * 36  # Keycloak's ids
    for name in (
        f"{group}.scope",
        f"{group}.log",
        f".{home}.of-{account}.99.examples",
        f".{home}.account.new",
    ):
        assert len(name.encode()) < LONGEST_FILE_NAME
        assert os.sep not in name


@given(names | longest, names)
def test_systemd_takes_the_name_as_it_is(user, server):
    unit = f"{group_name(user, server, '/a')}.scope"
    assert re.fullmatch(r"[a-zA-Z0-9:_.-]+\.scope", unit)
    assert not unit.startswith((".", "-"))


@pytest.mark.parametrize("user", ["名前" * 100, "a" * 200, "a@b", "a_b", "..", "ana\n", "\ud800", "Ä\u0308"])
def test_the_kernel_takes_it_too(tmp_path, user):
    (tmp_path / group_name(user, user, "/a")).mkdir()
    (tmp_path / home_name(user)).mkdir()
    assert len(list(tmp_path.iterdir())) == 2


def test_what_unicode_calls_the_same_are_two_accounts():
    """Keycloak tells them apart, so must we: one person's home is not another's."""
    alike = ["\u00e4", "a\u0308", "\u212b", "\u00c5", "\uff41", "a", "A", "\u0430", "a\u200b", "a ", " a"]
    assert len({home_name(name) for name in alike}) == len(alike)
