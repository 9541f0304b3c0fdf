"""Links in mails: each leads to the mail that it was in, or nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub.storage.notices import record
from cubehub.storage.notices.telling import MOVED

if TYPE_CHECKING:
    from pathlib import Path


def put(told: record.Record, name: str, topic: str = MOVED) -> int:
    with told.transaction:
        return told.outbox.put(topic, name, f"{name}@example.org", "en", 1.0)


@pytest.mark.parametrize("how", ["erased", "withdrawn"])
def test_a_number_that_a_mail_had_is_never_given_again(tmp_path: Path, how: str) -> None:
    with record.opened(tmp_path) as told:
        numbers = [put(told, "ben"), put(told, "ana")]
        if how == "erased":
            assert told.forget(b"ana") == 1
        else:
            told.withdraw(b"ana", MOVED)
    with record.opened(tmp_path) as told:
        assert told.outbox.get(numbers[1]) is None
        assert put(told, "eva") > numbers[1], "ana has a link with that number, and would see what eva has"
        told.forget(b"eva")
        told.forget(b"ben")
        assert put(told, "eva") > numbers[1] + 1


def test_a_record_that_was_lost_begins_with_other_numbers(tmp_path: Path) -> None:
    numbers = set()
    for _ in range(5):
        (tmp_path / record.FILE).unlink(missing_ok=True)
        with record.opened(tmp_path) as told:
            numbers.add(put(told, "ana"))
    assert len(numbers) == 5
