import pytest
from cubehub.access_tokens import person_audiences
from cubehub.resources import resource


def test_the_shipped_file_names_none():
    assert person_audiences(resource("config", "catalogues.yaml")) == frozenset()


def test_only_catalogues_that_are_asked_as_the_person(tmp_path):
    file = tmp_path / "catalogues.yaml"
    file.write_text(
        "catalogues:\n"
        "- {id: a, auth: {type: person, audience: stac}}\n"
        "- {id: b, auth: {type: basic, audience: other}}\n"
        "- {id: c, public: true}\n"
        "- {id: d, auth: {type: person, audience: stac-2}}\n"
    )
    assert person_audiences(file) == {"stac", "stac-2"}


@pytest.mark.parametrize(
    "content",
    [
        "", "a: [", "- a", "catalogues: 3", "catalogues: [3, null, {auth: 3}, {auth: {type: person}}]",
        "catalogues: [{auth: {type: person, audience: [a]}}, {auth: {type: person, audience: ''}}]", "\x00", "[" * 5000,
    ],
)  # fmt: skip
def test_what_can_not_be_read_opens_nothing(tmp_path, content):
    file = tmp_path / "catalogues.yaml"
    file.write_text(content)
    assert person_audiences(file) == frozenset()
    assert person_audiences(tmp_path / "missing") == frozenset()
