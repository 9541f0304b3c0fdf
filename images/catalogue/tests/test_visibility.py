import pytest
from cubehub_stac.visibility import (
    ACCOUNT,
    NOTHING,
    Person,
    collections_of,
    escape,
    group_collection,
    is_reserved,
    own_collection,
    readable,
)  # fmt: skip
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(max_size=40)
PEOPLE = st.builds(Person, NAMES, NAMES, st.frozensets(NAMES, max_size=4), st.booleans())


@given(NAMES, NAMES)
def test_different_names_stay_different_and_are_plain(one, other):
    assert (escape(one) == escape(other)) == (one == other)
    assert all(c.isascii() and (c.isalnum() or c in "-_") for c in escape(one))


@given(NAMES.filter(bool), NAMES.filter(bool))
def test_a_person_and_a_group_never_share_a_collection(account, path):
    own, group = own_collection(account), group_collection(path)
    assert len({own, group, ACCOUNT, NOTHING}) == 4
    assert all(is_reserved(name) for name in (own, group, ACCOUNT, NOTHING))


@given(PEOPLE, st.one_of(NAMES, NAMES.map("own.".__add__), NAMES.map("group.".__add__), st.just(ACCOUNT)))
def test_what_is_read_is_what_is_for_everybody_or_for_the_person(person, name):
    expected = not is_reserved(name) or name in collections_of(person)
    assert readable(name, person) == expected
    assert readable(name, None) == (not is_reserved(name))
    assert not readable(NOTHING, person)


@given(PEOPLE, PEOPLE)
def test_nobody_reads_what_is_another_ones(one, other):
    if one.id and one.id != other.id:
        assert not readable(own_collection(one.id), other)
    for path in one.groups - other.groups:
        if path:
            assert not readable(group_collection(path), other)


def test_who_has_no_account_has_no_collection():
    assert not collections_of(Person("cli", "", operator=True))
    assert not readable(ACCOUNT, Person("cli", "", operator=True))
    with pytest.raises(ValueError, match="no id"):
        own_collection("")
    with pytest.raises(ValueError, match="no path"):
        group_collection("")
