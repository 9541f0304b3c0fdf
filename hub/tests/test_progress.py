from __future__ import annotations

import io
import json
import threading

import pytest
from cubehub.local.progress import MIB, BarProgress, LineProgress, open_progress
from rich.console import Console


def test_lines_give_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    with LineProgress() as progress, progress.step("Keycloak", 176 * MIB) as report:
        report(50 * MIB)
        report(176 * MIB, 176 * MIB)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Keycloak (176 MiB) …"
    assert lines[1].startswith("Keycloak: done in ")
    assert lines[1].endswith("(176 MiB)")


def test_json_lines_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    with open_progress(as_json=True) as progress, progress.step("files", 3, "files") as report:
        report(3)
    start, done = map(json.loads, capsys.readouterr().err.splitlines())
    assert start == {"event": "start", "step": "files", "total": 3, "unit": "files"}
    assert done["event"] == "done"
    assert done["amount"] == 3


def test_a_step_that_fails_is_not_said_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="disk"), LineProgress().step("x", None):
        raise OSError("disk")
    assert "done" not in capsys.readouterr().err


def test_bars_side_by_side_and_totals_learnt_on_the_way() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)

    def work(progress: BarProgress, name: str) -> None:
        with progress.step(name, None) as report:
            for done in range(50):
                report(done, 100 + done)

    with BarProgress(console) as progress:
        threads = [threading.Thread(target=work, args=(progress, f"lane {n}")) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with pytest.raises(ValueError, match="mid-way"), progress.step("broken", 5):
            raise ValueError("mid-way")
    assert "lane 3" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_step_shows_what_it_is_about_and_ends_only_at_its_end() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with BarProgress(console) as progress:
        with progress.step("lab environment", None) as report:
            report(5 * MIB, 5 * MIB, about="installing")
            (task,) = progress._bars.tasks  # what a person sees is drawn from it
            assert not task.finished
            assert "installing" in rendered(progress)
            assert "5.0/5.0 MiB" in rendered(progress)
        assert task.finished
        with progress.step("starting the parts", None) as report:
            report(0, about="keycloak, hub")
            assert "keycloak, hub" in rendered(progress)
    assert "bytes" not in rendered(progress)
    assert "keycloak" not in rendered(progress)


def rendered(progress: BarProgress) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(progress._bars.get_renderable())
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]
