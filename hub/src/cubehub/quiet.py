"""Keeps out of the Hub's log what buries the rest: what parts ask every few seconds, tracebacks of what is no failure."""

from __future__ import annotations

import logging

_ROUND = "200 GET /hub/api/cubehub/servers (accounts@"


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_ROUND)


def _refusal_is_no_failure(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    # a SpawnException of ours has the page's words already
    if getattr(error, "jupyterhub_html_message", None) and (said := getattr(error, "log_message", None)):
        record.msg, record.args, record.exc_info = f"Refused: {said}", (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def quieten_refusals() -> None:
    """Give a server that was refused one line, where the Hub writes a traceback for a start by form or link."""
    logging.getLogger("JupyterHub").addFilter(_refusal_is_no_failure)


def quieten_rounds() -> None:
    """Leave out the line for each round of the accounts service that was answered; failures stay.

    Notes
    -----
    Seventeen thousand lines a day would bury the ones about people.
    """
    # the logger to which the Hub writes requests, under its own name
    logging.getLogger("tornado.access").addFilter(_is_news)
