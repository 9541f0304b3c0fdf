"""What is left out is named; in CI nothing is left out but what no package could bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub_tests.needs import NEEDS, Need

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

NEEDY = """
import pytest
from cubehub_tests.needs import NEEDS, Need
from cubehub_tests.plugin import tell_left_out

NEEDS["bread"] = Need("bread", "a baker", lambda: True)
NEEDS["unicorn"] = Need("unicorn", "a forest", lambda: False)
NEEDS["sea"] = Need("sea", "nothing", lambda: False, lambda: False)

@pytest.mark.needs("bread")
def test_eats(): pass

@pytest.mark.needs("unicorn")
def test_rides(): pass

@pytest.fixture(params=["land", pytest.param("water", marks=pytest.mark.needs("sea"))])
def way(request): return request.param

@pytest.mark.needs("bread")
def test_travels(way): assert way == "land"

@pytest.mark.needs("unicorn", "sea")
def test_rides_through_water(): pass

def test_plain(request):
    tell_left_out(request.node, "the dessert")
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], pytest.RunResult]:
    """Run a suite with CI set to something, where there is bread, no unicorn and never a sea."""
    monkeypatch.setitem(NEEDS, "bread", Need("bread", "a baker", lambda: True))
    monkeypatch.setitem(NEEDS, "unicorn", Need("unicorn", "a forest", lambda: False))
    monkeypatch.setitem(NEEDS, "sea", Need("sea", "nothing", lambda: False, lambda: False))

    def run(code: str, ci: str) -> pytest.RunResult:
        monkeypatch.setenv("CI", ci)
        (pytester.mkdir("room") / "test_it.py").write_text(code)
        return pytester.runpytest(
            "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--junitxml=junit.xml"
        )

    return run


def test_what_this_machine_lacks_is_left_out_and_named(run: Callable[[str, str], pytest.RunResult]) -> None:
    ended = run(NEEDY, "")
    ended.assert_outcomes(passed=3, deselected=3)
    ended.stdout.fnmatch_lines(
        [
            "*left out on this machine*",
            "room (2 tests): not possible on this machine, there is no sea.",
            "room (1 test): there is no unicorn.",
            "    it comes with: a forest",
            "room/test_it.py::test_plain: the dessert",
        ]
    )


def test_in_ci_what_could_be_there_must_be(run: Callable[[str, str], pytest.RunResult]) -> None:
    ended = run(NEEDY, "true")
    ended.assert_outcomes(passed=3, errors=1, deselected=2)
    ended.stdout.fnmatch_lines(
        [
            "There is no unicorn, and CI leaves nothing out. It comes with: a forest",
            "*left out on this machine*",
            "room (2 tests): not possible on this machine, there is no sea.",
        ]
    )


@pytest.mark.parametrize(
    "code",
    [
        "import pytest\ndef test_it(): pytest.skip('no wind')",
        "import pytest\n@pytest.fixture\ndef kite(): pytest.skip('no wind')\ndef test_it(kite): pass",
        "import pytest\n@pytest.mark.skip(reason='no wind')\ndef test_it(): pass",
        "import pytest\npytest.skip('no wind', allow_module_level=True)",
    ],
    ids=["test", "fixture", "mark", "module"],
)
def test_in_ci_nothing_skips_itself(run: Callable[[str, str], pytest.RunResult], code: str) -> None:
    ended = run(code, "1")
    assert ended.ret != 0
    ended.stdout.fnmatch_lines(["*no wind*", "CI leaves nothing out.*"])


def test_elsewhere_a_test_may_skip_itself(run: Callable[[str, str], pytest.RunResult]) -> None:
    run("import pytest\ndef test_it(): pytest.skip('no wind')", "false").assert_outcomes(skipped=1)


def test_an_expected_failure_is_no_skip(run: Callable[[str, str], pytest.RunResult]) -> None:
    code = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False"
    run(code, "true").assert_outcomes(xfailed=1)


def test_an_unknown_need_is_refused(run: Callable[[str, str], pytest.RunResult]) -> None:
    ended = run("import pytest\n@pytest.mark.needs('luck')\ndef test_it(): pass", "")
    assert ended.ret == pytest.ExitCode.USAGE_ERROR
    ended.stderr.fnmatch_lines(["*test_it needs 'luck'; known are *"])


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_every_need_can_be_looked_for(name: str) -> None:
    need = NEEDS[name]
    assert need.possible() or not need.present(), "what is there is possible"
    assert need.what
    assert need.remedy
