"""The whole way with a real pod: a person's browser, Keycloak, the Hub, Lab in the pod; and an administrator's command."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
from cubehub_tests.kube.cluster import until
from cubehub_tests.kube.whole import limit_of, pod_of, resize_is_told
from cubehub_tests.lab import (
    ALLOCATE,
    MEMORY_ITEM,
    TRY,
    enter_lab,
    expect_output,
    new_notebook,
    run_in_new_cell,
    wait_for_idle,
)
from cubehub_tests.platform import MIB, PREMIUM, STANDARD
from cubehub_tests.servers import Account
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_tests.chromium import Window
    from cubehub_tests.kube.cluster import Cluster
    from cubehub_tests.platform import Whole

pytestmark = [pytest.mark.kube, pytest.mark.browser]
MORE_MIB = STANDARD // MIB + 150


@pytest.fixture
def lab(window: Window, whole: Whole) -> Iterator[Window]:
    """Give Ana's Lab in a pod, by way of the landing page and Keycloak, with a notebook in front."""
    with contextlib.closing(Account.login(whole, "ana")) as ana:
        whole.run("users", "move", "ana", "standard")
        enter_lab(window, "ana")
        limit = re.compile(r"RAM [\d.]+ / 768 MiB · Standard")
        expect(window.page.locator(MEMORY_ITEM)).to_contain_text(limit)
        new_notebook(window)
        yield window
        ana.stop()


def test_a_kernel_that_ran_out_is_explained_and_the_server_lives(lab: Window, cluster: Cluster) -> None:
    before = pod_of(cluster, "ana")
    run_in_new_cell(lab, ALLOCATE.format(mib=STANDARD // MIB + 100))
    dialogue = lab.page.locator(".jp-Dialog")
    expect(dialogue.filter(has_text="Out of memory")).to_be_visible(timeout=120_000)
    expect(dialogue).to_contain_text(re.compile(r"The kernel of Untitled\d*.ipynb was stopped"))
    expect(dialogue).to_contain_text("memory limit of 768 MiB (profile Standard)")
    expect(dialogue).to_contain_text("ask your administrator")
    lab.picture("pod-out-of-memory")
    lab.page.keyboard.press("Enter")
    expect(dialogue).to_have_count(0)
    expect_output(lab, re.compile("reached its memory limit of 768 MiB"))
    run_in_new_cell(lab, "print('again', 6 * 7)")
    expect_output(lab, "again 42")
    wait_for_idle(lab)
    after = pod_of(cluster, "ana")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_premium_now_kernel_kept(lab: Window, whole: Whole, cluster: Cluster) -> None:
    page = lab.page
    run_in_new_cell(lab, "kept = 'since before the move'; " + TRY.format(mib=MORE_MIB))
    expect_output(lab, re.compile(r"status (?!0)"))
    whole.run("users", "move", "ana", "premium")
    pod = pod_of(cluster, "ana")
    until(lambda: limit_of(pod_of(cluster, "ana")) == PREMIUM, "the pod has Premium")
    notice = page.locator(".Toastify__toast").filter(has_text="Your memory limit is now 1.4 GiB")
    expect(notice.first).to_be_visible()
    expect(page.locator(MEMORY_ITEM)).to_contain_text("/ 1.4 GiB · Premium")
    run_in_new_cell(lab, "print(kept); " + TRY.format(mib=MORE_MIB))
    expect_output(lab, re.compile(r"since before the move\s+status 0"))
    lab.picture("pod-premium-now")
    resize_is_told(cluster, pod)
    after = pod_of(cluster, "ana")
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
