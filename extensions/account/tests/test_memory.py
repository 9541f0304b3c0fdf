import pytest
from cubehub_account.memory import Ledger, Limits, oom_kills, reason


class Kernel:
    pass


@pytest.fixture
def events(tmp_path):
    file = tmp_path / "memory.oom_control"
    file.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    return file


def test_counter_of_each_kind(events, tmp_path):
    assert oom_kills(events) == 3
    v2 = tmp_path / "memory.events"
    v2.write_text("low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\noom_group_kill 7\n")
    assert oom_kills(v2) == 2
    assert oom_kills(tmp_path / "missing") is None
    assert oom_kills(None) is None


def test_only_a_killed_kernel_with_a_grown_counter_ran_out(events):
    ledger = Ledger(events)
    crashed, stopped, killed_later = Kernel(), Kernel(), Kernel()
    ledger.died(crashed, -11)
    assert not ledger.ran_out(crashed)
    events.write_text("oom_kill 4\n")
    ledger.died(stopped, -9)
    ledger.died(stopped, -9)  # asked again, as the restarter does
    assert ledger.ran_out(stopped)
    ledger.died(killed_later, -9)
    assert not ledger.ran_out(killed_later), "one kill explains one death"
    ledger.started(stopped)
    assert not ledger.ran_out(stopped)


def test_two_that_were_stopped_between_two_looks_are_both_explained(events):
    ledger = Ledger(events)
    one, other, third = Kernel(), Kernel(), Kernel()
    events.write_text("oom_kill 5\n")
    for kernel in (one, other, third):
        ledger.died(kernel, -9)
    assert [ledger.ran_out(kernel) for kernel in (one, other, third)] == [True, True, False]


def test_a_kill_of_long_ago_explains_nothing(events):
    """It took a process that a cell had started; an hour later somebody kills the kernel."""
    now = 0.0
    ledger = Ledger(events, clock=lambda: now)
    kernel = Kernel()
    events.write_text("oom_kill 4\n")
    ledger.look()
    now = 3600.0
    ledger.died(kernel, -9)
    assert not ledger.ran_out(kernel)


def test_a_crash_while_another_process_was_stopped_is_a_crash(events):
    ledger = Ledger(events)
    kernel = Kernel()
    events.write_text("oom_kill 4\n")
    ledger.died(kernel, 1)
    assert not ledger.ran_out(kernel)


def test_status_of_a_wrapping_shell_counts(events):
    ledger = Ledger(events)
    kernel = Kernel()
    events.write_text("oom_kill 4\n")
    ledger.died(kernel, 137)
    assert ledger.ran_out(kernel)


def test_without_a_counter_nothing_is_claimed():
    ledger = Ledger(None)
    kernel = Kernel()
    ledger.died(kernel, -9)
    assert not ledger.ran_out(kernel)


def test_reason_names_notebook_limit_profile_and_ways_out():
    limits = Limits.from_environment({"MEM_LIMIT": str(5 * 2**30), "CUBEHUB_PROFILE": "standard"})
    text = reason(limits, "flood.ipynb")
    assert text.startswith(
        "The kernel of flood.ipynb was stopped: the server reached its memory limit of 5 GiB"
    )
    for part in ("standard", "Dask Gateway", "lazily", "ask your administrator", "e.g. Premium"):
        assert part in text
    assert "e.g. Premium" not in reason(Limits(10 * 2**30, "Premium"))
    assert "300 MiB" in reason(Limits(300 * 2**20))
    assert "GiB" not in reason(Limits.from_environment({"MEM_LIMIT": "", "CUBEHUB_PROFILE": ""}))
