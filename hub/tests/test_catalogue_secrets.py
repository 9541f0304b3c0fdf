"""Secrets that catalogues.yaml names and servers do not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubehub.catalogue_secrets import missing_secrets
from traitlets.config import Config

if TYPE_CHECKING:
    from pathlib import Path

LIST = """
catalogues:
  - {id: open, title: A, url: https://a.example}
  - {id: key, title: B, url: https://b.example, auth: {type: api_key, header: X-Key, value_env: B_KEY}}
  - {id: word, title: C, url: https://c.example, auth: {type: basic, username: u, password_env: C_WORD}}
  - {id: file, title: D, url: https://d.example, auth: {type: basic, username: u, password_file: "FOLDER/word"}}
  - {id: ours, title: E, url: https://e.example, auth: {type: oauth2_client, token_url: https://e.example/t,
     client_id: c, client_secret_env: E_SECRET}}
"""


def test_what_servers_are_not_given_is_named_with_its_catalogue(tmp_path: Path) -> None:
    file = tmp_path / "catalogues.yaml"
    file.write_text(LIST.replace("FOLDER", str(tmp_path)))
    config = Config()
    config.ProfileLocalSpawner.extra_env = {"B_KEY": " "}
    found = missing_secrets(file, config)
    assert [one.message.split(" fails")[0].rpartition(" ")[2] for one in found] == [
        "key",
        "word",
        "file",
        "ours",
    ]
    assert {one.code for one in found} == {"catalogue_secret"}
    assert 'extra_env["B_KEY"]' in found[0].hint
    config.ProfileLocalSpawner.extra_env = {"B_KEY": "secret-1"}
    config.Spawner.environment = {"C_WORD": "secret-2"}
    config.Spawner.env_keep.append("E_SECRET")
    (tmp_path / "word").write_text("secret-3\n")
    assert missing_secrets(file, config) == []


def test_a_list_that_cannot_be_read_names_nothing(tmp_path: Path) -> None:
    assert missing_secrets(tmp_path / "none", Config()) == []
    for text in ("[", "- a", "catalogues: 5", "catalogues: [5, {auth: 5}]"):
        (tmp_path / "catalogues.yaml").write_text(text)
        assert missing_secrets(tmp_path / "catalogues.yaml", Config()) == []
