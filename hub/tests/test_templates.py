"""Our pages for refusals and failures, laid over JupyterHub's own as the Hub does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cubehub.login import outage
from cubehub.resources import resource
from cubehub_tests.people import page_text
from jinja2 import ChoiceLoader, DictLoader, Environment, FileSystemLoader, PrefixLoader
from jupyterhub._data import DATA_FILES_PATH

STOCK = FileSystemLoader(Path(DATA_FILES_PATH) / "templates")
FRAME = DictLoader({"page.html": "{% block main %}{% endblock %}{% block script %}{% endblock %}"})
REFUSAL = '<span class="cubehub-refusal">No group.</span> <a href="/hub/spawn">Try again</a>'


@pytest.fixture(scope="module")
def pages() -> Environment:
    own = FileSystemLoader(str(resource("config", "templates")))
    return Environment(
        loader=ChoiceLoader([own, FRAME, PrefixLoader({"templates": STOCK}), STOCK]), autoescape=True
    )


def shown(pages: Environment, name: str, **more: Any) -> str:
    return page_text(pages.get_template(name).render(prefix="/", **more))


def test_a_failure_nobody_expected_says_what_to_do(pages: Environment) -> None:
    text = shown(pages, "error.html", status_code=500, status_message="Internal Server Error", message="")
    assert "Something went wrong on our side" in text
    assert "tell your administrator" in text


def test_an_error_with_a_reason_is_left_to_jupyterhub(pages: Environment) -> None:
    text = shown(pages, "error.html", status_code=404, status_message="Not Found", message="No such page")
    assert text == "404 : Not Found No such page"


def test_a_silent_account_service_is_said_without_numbers(pages: Environment) -> None:
    error = outage("/hub/login")
    text = shown(
        pages, "error.html", status_code=503, status_message=error.reason, message=error.jupyterhub_message,
        message_html=error.jupyterhub_html_message,
    )  # fmt: skip
    assert text.startswith("The account service does not answer Nothing is wrong with your account")
    assert "503" not in text
    assert "Try again" in text


def test_a_refusal_says_why_however_long_it_took(pages: Environment) -> None:
    quick = shown(pages, "error.html", status_code=403, status_message="no_profile", message_html=REFUSAL)
    late = shown(
        pages, "not_running.html", failed=True, failed_html_message=None, failed_message=None,
        exception=SimpleNamespace(message_html=REFUSAL), spawn_url="/hub/spawn",
    )  # fmt: skip
    for text in (quick, late):
        assert text.startswith("No server was started No group. Try again")
        assert "Relaunch" not in text


def test_a_refusal_of_the_form_says_why_above_the_form(pages: Environment) -> None:
    user = SimpleNamespace(name="ana")
    refused = shown(pages, "spawn.html", user=user, error_message="No group.", html_error_message=REFUSAL)
    assert refused.startswith("No server was started No group. Try again")
    assert refused.count("No group.") == 1
    assert shown(pages, "spawn.html", user=user).startswith("Start your server")
    odd = shown(pages, "spawn.html", user=user, error_message="Form is missing <b>.")
    assert "Error: Form is missing <b>." in odd


@pytest.mark.parametrize("failed", [True, False])
def test_another_failed_start_is_left_to_jupyterhub(pages: Environment, failed: bool) -> None:
    text = shown(
        pages, "not_running.html", failed=failed, exception=RuntimeError("x"), spawn_url="/hub/spawn"
    )
    assert ("Relaunch" if failed else "Launch") in text
    assert "No server was started" not in text
