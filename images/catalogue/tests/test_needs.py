"""A suite whose means are missing says so, and is no success in CI."""

import pytest
import support


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception), ("0", pytest.skip.Exception)]
)  # fmt: skip
def test_what_is_missing_fails_in_ci_and_is_left_out_elsewhere(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    for name, (_, remedy) in support.NEEDS.items():
        monkeypatch.setitem(support.NEEDS, name, (lambda: False, remedy))
        with pytest.raises(outcome, match=remedy):
            support.require(name)
