"""catalogues.yaml: what it may say, and how a fault in it is told."""

import json
from pathlib import Path

import pytest
import yaml
from cubehub_catalogue.auth import ApiKey, Hub, Person, read_secret
from cubehub_catalogue.errors import InputError, SignInError
from cubehub_catalogue.settings import Settings, SettingsError, here, load_settings, own_catalogue, schema

SHIPPED = Path(__file__).parents[3] / "config" / "catalogues.yaml"


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.delenv("CUBEHUB_URL", raising=False)

    def read(text, **kwargs):
        file = tmp_path / "catalogues.yaml"
        file.write_text(text)
        return load_settings(file, **kwargs)

    return read


def entry(**more):
    return json.dumps({"catalogues": [{"id": "a", "title": "A", "url": "https://a.example/stac", **more}]})


def test_the_shipped_file_is_read_and_stands_on_the_platform():
    made = load_settings(SHIPPED, platform_url="https://hub.example")
    (one,) = made.catalogues
    assert (one.url, one.private, one.type) == ("https://hub.example/services/catalogue/", True, "stac")
    assert isinstance(one.auth, Hub)
    assert not made.user_catalogues
    assert made.tiles == ""


def test_the_examples_in_the_shipped_file_can_be_taken_as_they_are():
    lines = [line[3:] for line in SHIPPED.read_text().splitlines() if line.startswith("#  - ")]
    assert len(lines) >= 5
    text = "catalogues:\n" + "\n".join(lines)
    made = Settings.model_validate(yaml.safe_load(text))
    assert len(made.catalogues) == len(lines)


def test_every_key_is_told_in_the_shipped_file():
    text = SHIPPED.read_text()
    known = schema()
    for model in known["$defs"].values():
        for key in model.get("properties", {}):
            assert key in text, key
    for key in known["properties"]:
        assert key in text, key


def test_a_missing_list_is_empty(load):
    assert load("").catalogues == ()
    assert load("catalogues:\n").catalogues == ()


def test_auth_of_each_kind(load):
    made = load(entry(auth={"type": "api_key", "header": "X-Key", "value_env": "KEY"}))
    assert made.catalogues[0].auth == ApiKey(type="api_key", header="X-Key", value_env="KEY")
    made = load(entry(auth={"type": "person", "audience": "stac"}))
    assert made.catalogues[0].auth == Person(type="person", audience="stac")
    load(entry(auth={"type": "basic", "username": "u", "password_file": "/etc/p"}))
    load(
        entry(
            auth={
                "type": "oauth2_client",
                "token_url": "https://id.example/token",
                "client_id": "c",
                "client_secret_env": "S",
                "scope": "a b",
            }
        )
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a", "must have keys"),
        ("a: [", "not valid YAML"),
        ("tile: x", "tile: there is no such key"),
        (entry(colour="red"), "catalogues.0 (a).colour: there is no such key"),
        ("a: 2024-02-30", "a date or a number that is none"),
        ("a: [\nb: hunter2", ", line 2 is not valid YAML"),
        (entry(id="A b"), "catalogues.0 (A b).id"),
        (entry(type="wms"), "found 'wms'"),
        (entry(own=True), "own is not a key"),
        (entry(url="http://a.example"), "is not https"),
        (entry(url="ftp://a.example"), "is not an https address"),
        (entry(url="https://u:p@a.example"), "no user name"),
        (entry(url="//a.example"), "not a path on this platform"),
        (entry(url="/../x"), "not a path on this platform"),
        (entry(url="/x"), "this is no server of a platform"),
        (entry(url="https://a.example:0"), "not an https address"),
        (entry(url="https://a.example:99999"), "is not an address"),
        (entry(timeout=0), "catalogues.0 (a).timeout"),
        (entry(timeout="soon"), "found 'soon'"),
        (entry(also=["https://b.example/path"]), "scheme, host and port alone"),
        (entry(public=True, auth={"type": "person", "audience": "x"}), "contradict each other"),
        (entry(auth={"type": "api_key", "header": "a"}), "exactly one of value_file and value_env"),
        (entry(auth={"type": "api_key", "value_env": "a"}), "exactly one of header and query"),
        (entry(auth={"type": "api_key", "header": "Host", "value_env": "a"}), "is no header for a key"),
        (entry(auth={"type": "magic"}), "catalogues.0 (a).auth"),
        (entry(auth={"type": "hub"}), "the type hub is for catalogues on this platform"),
        (entry(url="/x/", auth={"type": "hub"}, also=["https://b.example"]), "the platform's own"),
        (
            entry(
                auth={
                    "type": "oauth2_client",
                    "token_url": "http://x/",
                    "client_id": "c",
                    "client_secret_env": "S",
                }
            ),
            "token_url: 'http://x/' is not an https address",
        ),
        ("catalogues:\n- {id: a, title: A, url: /a}\n- {id: a, title: A, url: /a}", "is there twice"),
        ("tiles: https://t.example/{z}/{x}.png", "has no {y}"),
        ("user_catalogues: perhaps", "user_catalogues"),
    ],
)
def test_a_fault_names_file_key_and_value(load, tmp_path, text, said):
    with pytest.raises(SettingsError) as error:
        load(text)
    assert said in error.value.message
    assert str(tmp_path / "catalogues.yaml") in error.value.message
    assert "found a dict" not in error.value.message, "nobody wrote one"
    assert error.value.hint


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "basic", "username": "u", "password": "hunter2"},
        {"type": "api_key", "header": "X", "value": "hunter2"},
        {
            "type": "oauth2_client",
            "token_url": "https://x/",
            "client_id": "c",
            "client_secret": "hunter2",
        },
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(load, auth):
    with pytest.raises(SettingsError) as error:
        load(entry(auth=auth))
    assert "hunter2" not in error.value.message


@pytest.mark.parametrize(
    "text",
    [
        entry(sign_in="http://u:hunter2@e.example/"),
        entry(url="http://e.example/?key=hunter2"),
        entry(url="https://u:hunter2@[e.example/"),
        entry(auth="hunter2"),
        entry(credential="hunter2"),
        entry(auth={"type": "oauth2_client", "token_url": "http://u:hunter2@e.example/?hunter2", "client_id": "c", "client_secret_env": "S"}),
        "tiles: https://t.example/{z}/{x}.png?key=hunter2",
        "catalogues:\n- id: a\n  auth: {value: hunter2\n  title: b",
    ],
)  # fmt: skip
def test_what_may_be_a_secret_is_not_repeated_whatever_is_wrong(load, text):
    with pytest.raises(SettingsError) as error:
        load(text)
    assert "hunter2" not in error.value.message


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="UTF-8"):
        load_settings(tmp_path / "b.yaml")


def test_without_a_file_it_is_a_lab_of_ones_own(monkeypatch, tmp_path):
    monkeypatch.delenv("CUBEHUB_CATALOGUES", raising=False)
    assert here() == Settings(user_catalogues=True)
    (tmp_path / "c.yaml").write_text("catalogues: []")
    monkeypatch.setenv("CUBEHUB_CATALOGUES", str(tmp_path / "c.yaml"))
    assert here() == Settings()


def test_a_catalogue_of_ones_own_is_public_https():
    made = own_catalogue("own-1", "Mine", "https://a.example/v1", "stac")
    assert made.own
    assert not made.private
    for url in ("http://a.example", "/services/x", "file:///etc/passwd", "https://u@a.example", "https://"):
        with pytest.raises(InputError) as error:
            own_catalogue("own-1", "Mine", url, "stac")
        assert error.value.status == 400


def test_secrets_come_from_files_and_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text("s3cret\nand more\n")
    assert read_secret(file, None) == "s3cret"
    monkeypatch.setenv("A_KEY", " k ")
    assert read_secret(None, "A_KEY") == "k"
    for bad in ("", "a\tb", "ä"):
        file.write_text(bad)
        with pytest.raises(SignInError) as error:
            read_secret(file, None)
        assert str(tmp_path) not in error.value.message
    with pytest.raises(SignInError):
        read_secret(tmp_path / "none", None)
    with pytest.raises(SignInError):
        read_secret(None, "NOT_SET_AT_ALL")


def test_the_list_in_a_variable_where_there_is_no_file(tmp_path, monkeypatch):
    monkeypatch.delenv("CUBEHUB_CATALOGUES", raising=False)
    monkeypatch.setenv("CUBEHUB_CATALOGUES_YAML", "catalogues: [{id: a, title: A, url: 'https://a.example'}]")
    assert [one.id for one in here().catalogues] == ["a"]
    assert here().user_catalogues is False
    for wrong, word in (
        ("catalogues: [", "not valid YAML"),
        ("catalogues: [{id: a}]", "0 (a)"),
        (" ", "did not reach"),
    ):
        monkeypatch.setenv("CUBEHUB_CATALOGUES_YAML", wrong)
        with pytest.raises(SettingsError) as error:
            here()
        assert word in error.value.message
        assert error.value.hint
    # a file that is named counts
    (tmp_path / "c.yaml").write_text("catalogues: []")
    monkeypatch.setenv("CUBEHUB_CATALOGUES", str(tmp_path / "c.yaml"))
    assert here().catalogues == ()


def test_folders_that_the_platform_gives_out(load):
    assert load("files: {scenes: /srv/scenes, a.B_9-: /data}").files == {
        "scenes": "/srv/scenes",
        "a.B_9-": "/data",
    }
    assert load("files:").files == load("").files == {}
    for wrong in ("{samples: /srv}", "{.a: /srv}", "{a/b: /srv}", "{'': /srv}", "{a: srv}", "{a: /srv/../etc}", "{a: ''}",
                  "[/srv]", "{a: 3}", "{a: null}", "/srv"):  # fmt: skip
        with pytest.raises(SettingsError, match="files"):
            load(f"files: {wrong}")


def test_a_catalogue_of_files_on_the_platform(load):
    text = "catalogues: [{id: a, title: A, url: /services/catalogue/files/scenes/catalog.json, type: static, public: true}]"
    (found,) = load(text, platform_url="http://127.0.0.1:8000").catalogues
    assert found.url == "http://127.0.0.1:8000/services/catalogue/files/scenes/catalog.json"
    assert found.private
