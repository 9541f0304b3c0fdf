import os

import pytest
import yaml
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
        "a: 2020-13-45",
    ],
)  # fmt: skip
def test_what_can_not_be_read_opens_nothing(tmp_path, content):
    file = tmp_path / "catalogues.yaml"
    file.write_text(content)
    assert person_audiences(file) == frozenset()
    assert person_audiences(tmp_path / "missing") == frozenset()


def test_it_is_parsed_once_until_it_changes(tmp_path, monkeypatch):
    parsed = []

    def load(text):
        parsed.append(text)
        return yaml.load(text, yaml.SafeLoader)

    monkeypatch.setattr("cubehub.access_tokens.audiences.yaml.safe_load", load)
    file = tmp_path / "catalogues.yaml"
    one, other, longer = (
        f"catalogues: [{{auth: {{type: person, audience: {name}}}}}]" for name in ("a", "b", "cc")
    )
    for number, text in enumerate((one, other, longer), 1):
        file.write_text(text)
        # a file's time may be that of some milliseconds before
        os.utime(file, ns=(number * 10**9, number * 10**9))
        audiences = [person_audiences(file) for _ in range(3)]
        assert audiences == [{("a", "b", "cc")[number - 1]}] * 3
        assert parsed == [one, other, longer][:number]
    moved = tmp_path / "new"
    moved.write_text("catalogues: []".ljust(len(longer)))
    os.utime(moved, ns=(3 * 10**9, 3 * 10**9))
    moved.replace(file)
    assert person_audiences(file) == frozenset()
    file.unlink()
    assert person_audiences(file) == frozenset()
    assert len(parsed) == 4
