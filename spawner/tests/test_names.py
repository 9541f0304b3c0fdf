import re

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
