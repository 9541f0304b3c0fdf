"""What the panel says is there in Estonian and Czech, whole."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROOM = Path(__file__).resolve().parents[1]
TEXT = r"'(?:[^'\\]|\\.)*'"
CALL = re.compile(rf"trans\.(__|_n)\(\s*({TEXT})(?:\s*,\s*({TEXT}))?", re.DOTALL)
PLURALS = {"et_EE": 2, "cs_CZ": 3}


def said() -> dict[str, bool]:
    """Each text of the sources, and whether it has a plural."""
    found = {}
    for file in (ROOM / "lab" / "src").glob("*.ts"):
        for how, text, _ in CALL.findall(file.read_text()):
            found[ast.literal_eval(text)] = how == "_n"
    return found


@pytest.mark.parametrize("locale", PLURALS)
def test_each_text_is_translated_with_its_places_and_plurals(locale: str):
    path = ROOM / "cubehub_catalogue" / "locale" / locale / "LC_MESSAGES" / "cubehub_catalogue.json"
    translated = json.loads(path.read_text())
    head = translated.pop("")
    assert head["language"] == locale.replace("_", "-")
    assert f"nplurals={PLURALS[locale]};" in head["plural_forms"]
    texts = said()
    assert len(texts) > 100
    assert set(translated) == set(texts)
    for text, plural in texts.items():
        forms = translated[text]
        assert len(forms) == (PLURALS[locale] if plural else 1), text
        for form in forms:
            assert form.strip(), text
            assert set(re.findall(r"%\d", form)) == set(re.findall(r"%\d", text)), text
