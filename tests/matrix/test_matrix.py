"""Nobody gets more than their group gives, by whatever way they come and whatever Keycloak does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cubehub_tests.matrix import cases, table
from cubehub_tests.platform import REPOSITORY
from cubehub_tests.ways import TEXTS, Ways

if TYPE_CHECKING:
    from cubehub_tests.matrix import Case

    from .conftest import Stage

DOCUMENT = REPOSITORY / "docs/reference/entitlement-matrix.md"
START, END = "<!-- matrix -->\n", "<!-- end matrix -->\n"
pytestmark = [pytest.mark.whole, pytest.mark.matrix]


def test_cell(stage: Stage, case: Case) -> None:
    name = stage.person(case)
    stage.bring_keycloak_to(case.keycloak)
    outcome = Ways(stage.people[name], stage.admin, name).attempt(case.way)
    stage.outcomes[case] = outcome.cluster or (0 if outcome.code else outcome.granted_bytes)
    assert outcome.granted_bytes <= case.allowed_bytes
    assert not outcome.cluster or case.allowed_bytes
    if case.grants:
        assert outcome.cluster or outcome.granted_bytes, outcome
        return
    assert not outcome.cluster
    assert outcome.code in TEXTS or outcome.code.startswith("dask_4") or outcome.code == "dask_503", outcome
    assert len(outcome.text.split()) >= 4, f"a reason that nobody can read: {outcome}"
    assert "Traceback" not in outcome.text


def test_the_table_is_as_the_documentation_has_it(stage: Stage) -> None:
    """Set CUBEHUB_REGENERATE to write it anew."""
    if len(stage.outcomes) < len(cases()):
        return  # a part of the matrix was tried, or a cell failed and says so itself
    found = table(stage.outcomes)
    print(found)
    text = DOCUMENT.read_text()
    begin, end = text.index(START) + len(START), text.index(END)
    if os.environ.get("CUBEHUB_REGENERATE"):
        DOCUMENT.write_text(text[:begin] + found + text[end:])
        return
    assert text[begin:end] == found
