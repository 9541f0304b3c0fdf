"""The frame around measurements: what programs read, and the documentation's table."""

import json
from pathlib import Path

import pytest
from cubehub_tests.bench.cli import BENCHES, DOCUMENT
from cubehub_tests.bench.frame import Case, report, rewrite, table

CASES = [
    Case("later start", 20.0, "s", peer=30.0, floor=15.0, peer_name="stock"),
    Case("idle memory, whole", 1234.5678, "MiB"),
]


def test_a_report_is_what_design_says() -> None:
    found = json.loads(json.dumps(report("up", CASES)))
    assert set(found) == {"name", "machine", "cases"}
    first, second = found["cases"]
    assert first == {
        "case": "later start", "value": 20.0, "unit": "s", "peer": 30.0, "ratio": 1.5, "floor": 15.0,
        "peer_name": "stock",
    }  # fmt: skip
    assert second == {
        "case": "idle memory, whole", "value": 1235.0, "unit": "MiB", "peer": None, "ratio": None, "floor": None,
    }  # fmt: skip
    assert found["machine"]["cores"] >= 1


def test_the_table_is_put_between_its_markers_and_nothing_else_changes(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    before = "# Benchmarks\n<!-- bench up -->\nold\n<!-- end bench up -->\nafter\n<!-- bench spawn -->\nkept\n<!-- end bench spawn -->\n"
    document.write_text(before)
    rewrite(document, report("up", CASES))
    after = document.read_text()
    assert "| later start | 20 s | 30 s (stock) | 1.50 | 15 s |" in after
    assert "old" not in after
    assert after.startswith("# Benchmarks\n<!-- bench up -->\n")
    assert after.endswith(
        "<!-- end bench up -->\nafter\n<!-- bench spawn -->\nkept\n<!-- end bench spawn -->\n"
    )
    rewrite(document, report("up", CASES))
    assert document.read_text() == after


def test_markers_that_are_missing_are_named(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("nothing\n")
    with pytest.raises(ValueError, match="bench up"):
        rewrite(document, report("up", CASES))


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_has_its_place_in_the_documentation(name: str) -> None:
    text = DOCUMENT.read_text()
    assert f"<!-- bench {name} -->" in text
    assert f"\n## {name}\n" in text


def test_a_table_without_cases_is_still_one() -> None:
    assert table(report("up", [])).startswith("| case |")
