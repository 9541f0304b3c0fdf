"""Keeps out of the Hub's log what parts ask every few seconds."""

from __future__ import annotations

import logging

_ROUND = "200 GET /hub/api/cubehub/servers (accounts@"


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_ROUND)


def quieten_rounds() -> None:
    """Leave out the line for each round of the accounts service that was answered; failures stay.

    Notes
    -----
    Seventeen thousand lines a day would bury the ones about people.
    """
    # the logger to which the Hub writes requests, under its own name
    logging.getLogger("tornado.access").addFilter(_is_news)
