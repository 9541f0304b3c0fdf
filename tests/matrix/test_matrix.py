"""Nobody gets more than their group gives, by whatever way they come and whatever Keycloak does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub_tests.ways import TEXTS, Ways

if TYPE_CHECKING:
    from cubehub_tests.matrix import Case

    from .conftest import Stage

pytestmark = [pytest.mark.whole, pytest.mark.matrix]


def test_cell(stage: Stage, case: Case) -> None:
    name = stage.person(case)
    stage.bring_keycloak_to(case.keycloak)
    outcome = Ways(stage.people[name], stage.admin, name).attempt(case.way)
    stage.outcomes[case] = str(outcome)
    assert outcome.granted_bytes <= case.allowed_bytes
    assert not outcome.cluster or case.allowed_bytes
    if case.grants:
        assert outcome.cluster or outcome.granted_bytes, outcome
        return
    assert not outcome.cluster
    assert outcome.code in TEXTS or outcome.code.startswith("dask_4") or outcome.code == "dask_503", outcome
    assert len(outcome.text.split()) >= 4, f"a reason that nobody can read: {outcome}"
    assert "Traceback" not in outcome.text
