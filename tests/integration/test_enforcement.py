"""Keycloak's groups decide who gets a server and how large it is, and the limit holds."""

import json
import os
import signal

import httpx
import pytest
from cubehub_tests.people import page_text
from cubehub_tests.platform import MIB, PREMIUM, STANDARD, Whole
from cubehub_tests.realm import without_group
from cubehub_tests.servers import Account, ServerRefusedError

pytestmark = pytest.mark.whole
ALLOCATE = (
    "block = bytearray({mib} << 20)\nblock[::4096] = b'x' * len(block[::4096])\nprint(len(block) >> 20)"
)


def last_decision(whole: Whole, person: str) -> dict[str, object]:
    """Give the newest line about a person in the audit log."""
    lines = [json.loads(line) for line in (whole.data / "logs/audit.jsonl").read_text().splitlines()]
    found: dict[str, object] = next(line for line in reversed(lines) if person in json.dumps(line))
    return found


def test_standard_is_stopped_at_its_limit_and_told_why(whole: Whole, ana: Account) -> None:
    ana.start()
    with ana.kernel() as kernel, ana.kernel() as bystander:
        assert int(kernel.run("import os; print(os.environ['MEM_LIMIT'])").text) == STANDARD
        assert kernel.run(ALLOCATE.format(mib=150)).text == "150"
        kernel.run("del block")
        bystander.run("kept = 'still here'")
        said = kernel.run(ALLOCATE.format(mib=STANDARD // MIB + 100), check=False, timeout_s=180)
        assert said.restarted
        assert "reached its memory limit of 768 MiB (profile Standard)" in said.stderr
        assert "What you can do" in said.stderr
        assert ana.running
        assert bystander.run("print(kept)").text == "still here"
    with ana.kernel() as fresh:
        assert fresh.run("print(6 * 7)").text == "42"
    assert "standard" in json.dumps(last_decision(whole, "ana"))


def test_a_child_process_counts_too(ana: Account) -> None:
    ana.start()
    with ana.kernel() as kernel:
        code = (
            "import subprocess, sys\n"
            f"print(subprocess.run([sys.executable, '-c', '''{ALLOCATE.format(mib=STANDARD // MIB + 100)}''']).returncode)"
        )
        said = kernel.run(code, check=False, timeout_s=180)
    assert said.restarted or int(said.text) != 0
    assert ana.running


def test_premium_gets_more(petra: Account) -> None:
    petra.start()
    with petra.kernel() as kernel:
        assert int(kernel.run("import os; print(os.environ['MEM_LIMIT'])").text) == PREMIUM
        # what stops a standard server
        more = STANDARD // MIB + 100
        assert kernel.run(ALLOCATE.format(mib=more)).text == str(more)
    petra.stop()


def test_what_a_person_posts_changes_nothing(ana: Account) -> None:
    ana.stop()
    with pytest.raises(ServerRefusedError, match="premium"):
        ana.start({"profile": "premium"})
    ana.start({"mem_limit": "64G", "memory": 2**40})
    with ana.kernel() as kernel:
        assert int(kernel.run("import os; print(os.environ['MEM_LIMIT'])").text) == STANDARD


def test_a_viewer_is_refused_with_a_reason(whole: Whole, viktor: Account) -> None:
    page = viktor.visitor.http.get("/hub/spawn")
    assert page.status_code == httpx.codes.FORBIDDEN
    text = page_text(page.text)
    assert "no group that grants a notebook server" in text
    assert "Standard, Premium" in text
    assert 'data-code="no_profile"' in page.text
    assert "Traceback" not in page.text
    with pytest.raises(ServerRefusedError, match="no group that grants") as caught:
        viktor.start()
    assert caught.value.status == httpx.codes.FORBIDDEN
    assert last_decision(whole, "viktor")


def test_a_group_taken_away_counts_at_the_next_start(whole: Whole, ana: Account) -> None:
    ana.stop()
    with (
        without_group(whole, "ana", "/cubehub/standard"),
        pytest.raises(ServerRefusedError, match="no group that grants"),
    ):
        ana.start()
    ana.start()


def test_no_server_starts_while_keycloak_is_away(whole: Whole, petra: Account) -> None:
    petra.stop()
    before = whole.status()["parts"]["keycloak"]
    os.kill(before["pid"], signal.SIGKILL)  # it needs some seconds to come back
    try:
        page = petra.visitor.http.get("/hub/spawn")
        with pytest.raises(ServerRefusedError, match="account service"):
            petra.start()
    finally:
        whole.wait_until_healthy(restarted="keycloak", since=before["restarts"])
    assert page.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "could not be checked: the account service can't be reached" in page_text(page.text)
    assert "try again in a minute" in page_text(page.text)
    assert 'data-code="directory_unreachable"' in page.text
    assert "Traceback" not in page.text
    assert last_decision(whole, "petra")["outcome"] == "refused"
    petra.start()
    petra.stop()
