"""The reference is made from the code: this compares, and ``pytest hub/tests/test_docs.py --regenerate`` writes it."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
import yaml
from cubehub.cli import load_commands
from cubehub.resources import resource
from cubehub.settings import ConfigFolder, OperatorSettings
from cubehub.storage.policies import Policy
from cubehub_catalogue import settings as catalogues
from cubehub_spawner.profiles import json_schema
from pydantic import BaseModel

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
FILES = {
    "cubehub.yaml": "What an operator sets; the keys are below.",
    "profiles.yaml": "Who may have how much: memory, cores, storage and Dask budget by group ([schema](profiles.schema.json)).",
    "cubes.yaml": "The published cubes: titles, access, colours, places.",
    "catalogues.yaml": "The catalogues people search, and how each is logged in to ([schema](catalogues.schema.json)).",
    "storage.yaml": "What may be moved out of homes, after how long, who is told before, and how long it is kept.",
    "realm.json": "The Keycloak realm that a first start imports: groups, clients, roles.",
    "jupyterhub_config.py": "The Hub's configuration; any trait of JupyterHub may be set in it.",
    "dask_gateway_config.py": "Dask Gateway's configuration; any of its traits may be set in it.",
}
"""What may stand in the operator's folder."""


def commands(group: click.Group, path: str) -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name in sorted(group.commands):
        command = group.commands[name]
        if isinstance(command, click.Group):
            found += commands(command, f"{path} {name}")
        else:
            found.append((f"{path} {name}", command))
    return found


def option_row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in reversed(option.opts))
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    plain = isinstance(shown, (str, int)) and not isinstance(shown, bool) and bool(option.show_default)
    text, _, said = (option.help or "").partition("  [default: ")
    return f"| {names} | {text} | {f'`{shown}`' if plain else said.removesuffix(']')} |"


def cli_page() -> str:
    lines = [
        "# Commands",
        "",
        "Made from the code by `pytest hub/tests/test_docs.py --regenerate`.",
        "",
        "Exit status: 0 done; 1 failed (`status`: not running); 2 wrong input; 130 interrupted.",
        "What went wrong is said on standard error as `error:` and `hint:`; with `--json`, standard output has",
        "`{code, message, hint}` as well.",
    ]
    for path, command in commands(load_commands(), "cubehub"):
        arguments = [
            p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)
        ]
        lines += ["", f"## {' '.join([path, *arguments])}", "", command.help or "", ""]
        lines += ["| option | meaning | default |", "|---|---|---|"]
        lines += [option_row(p) for p in command.params if isinstance(p, click.Option)]
    return "\n".join(lines) + "\n"


def keys(
    model: type[BaseModel], shipped: dict[str, object], prefix: str = ""
) -> list[tuple[str, str, object]]:
    found: list[tuple[str, str, object]] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += keys(inner, shipped.get(name, {}), f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            found.append((prefix + name, " ".join((field.description or "").split()), shipped.get(name)))
    return found


def shipped_settings() -> dict[str, object]:
    content: dict[str, object] = yaml.safe_load(resource("config", "cubehub.yaml").read_text())
    return content


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "Made from the code by `pytest hub/tests/test_docs.py --regenerate`.",
        "",
        "## Files",
        "",
        "They stand in `DATA/config/`, or in the folder that `cubehub up --config` names. A file that is not there is",
        "taken as CubeHub ships it; the shipped ones, in `config/` of the repository, explain every line.",
        "",
        "| file | what it says |",
        "|---|---|",
        *(f"| `{name}` | {text} |" for name, text in FILES.items()),
        "",
        "## cubehub.yaml",
        "",
        "A duration is a whole number and `s`, `m`, `h` or `d`. A key that is not in this table is refused.",
        "",
        "| key | meaning | default |",
        "|---|---|---|",
    ]
    for key, meaning, value in keys(OperatorSettings, shipped_settings()):
        lines.append(
            f"| `{key}` | {meaning.removesuffix('; seconds.').removesuffix('.')}. | `{yaml.safe_dump(value).splitlines()[0]}` |"
        )
    lines += ["", "## storage.yaml", "", "| key | meaning | default |", "|---|---|---|"]
    shipped = yaml.safe_load(resource("config", "storage.yaml").read_text())
    for key, meaning, value in keys(Policy, shipped):
        default = "off, or the preset" if value is None else yaml.safe_dump(value).splitlines()[0]
        lines.append(f"| `{key}` | {meaning.removesuffix('; seconds.').removesuffix('.')}. | `{default}` |")
    return "\n".join(lines) + "\n"


def profiles_schema() -> str:
    return json.dumps(json_schema(), indent=2) + "\n"


def catalogues_schema() -> str:
    return json.dumps(catalogues.schema(), indent=2) + "\n"


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("cli.md", cli_page),
        ("settings.md", settings_page),
        ("profiles.schema.json", profiles_schema),
        ("catalogues.schema.json", catalogues_schema),
    ],
)
def test_the_reference_is_as_the_code_says(name: str, page: object, request: pytest.FixtureRequest) -> None:
    text = page()  # type: ignore[operator]
    file = REFERENCE / name
    if request.config.getoption("--regenerate"):
        file.write_text(text)
    assert file.read_text() == text, f"{name} is out of date: run pytest hub/tests/test_docs.py --regenerate"


def test_every_command_and_option_says_what_it_does() -> None:
    for path, command in commands(load_commands(), "cubehub"):
        assert command.help, path
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, f"{path} {parameter.name}"


def test_every_key_is_explained_and_stands_in_the_shipped_file() -> None:
    for key, meaning, value in keys(OperatorSettings, shipped_settings()):
        assert meaning, key
        assert value is not None, f"{key} is not in config/cubehub.yaml"
    assert ConfigFolder(None).operator_settings() == OperatorSettings()
    above = ""
    for line in resource("config", "cubehub.yaml").read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            assert above.startswith("#"), f"config/cubehub.yaml: {line} has no comment above it"
        above = line


def test_every_configuration_file_is_listed() -> None:
    shipped = {
        path.name for path in resource("config").iterdir() if path.is_file() and not path.name.startswith(".")
    }
    assert shipped == set(FILES)
