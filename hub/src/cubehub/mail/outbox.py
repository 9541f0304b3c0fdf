"""Mails that are to be sent: each written down, with what it is about, before anybody tries to send it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

WAITING, SENDING, SENT, REFUSED = "waiting", "sending", "sent", "refused"
"""States. One that is `SENDING` when nobody sends was cut off: whether it went out is not known, so it is sent again,
with the same Message-ID, by which mail programs take the two for one."""
TABLES = """
CREATE TABLE outbox (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, username TEXT NOT NULL, address TEXT NOT NULL,
  language TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL, unsubscribe TEXT NOT NULL, made REAL NOT NULL,
  state TEXT NOT NULL, sent REAL, tries INTEGER NOT NULL DEFAULT 0, next REAL NOT NULL, said TEXT NOT NULL DEFAULT '');
CREATE INDEX outbox_by_state ON outbox (state, next);
CREATE TABLE unsubscribed (username TEXT NOT NULL, topic TEXT NOT NULL, PRIMARY KEY (username, topic)) WITHOUT ROWID;
"""
_COLUMNS = (
    "id, topic, username, address, language, subject, body, unsubscribe, made, state, sent, tries, next, said"
)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 60.0, 3600.0
KEPT = 10_000
"""Mails that were sent and are still listed; older ones are forgotten unless something hangs on them."""


@dataclass(frozen=True)
class Mail:
    """A mail in the outbox.

    Attributes
    ----------
    unsubscribe : str
        Address for List-Unsubscribe; empty where it is no mail that one can do without.
    made, sent, next : float
        When it was written, when it went out (None: not yet), and when it is tried again; seconds since 1970.
    said : str
        What the mail server said at the last try.
    """

    id: int
    topic: str
    username: str
    address: str
    language: str
    subject: str
    body: str
    unsubscribe: str
    made: float
    state: str
    sent: float | None
    tries: int
    next: float
    said: str


class Outbox:
    """The mails in a database.

    Parameters
    ----------
    made : sqlite3.Connection
        With `TABLES` in it, and a number in ``application_id`` below which no mail begins. The caller ends the transaction of `put`; all others end their own.
    """

    def __init__(self, made: sqlite3.Connection) -> None:
        self._made = made

    def put(
        self,
        topic: str,
        username: str,
        address: str,
        language: str,
        at: float,
        *,
        unsubscribe: str = "",
        state: str = WAITING,
    ) -> int:
        """Write a mail without text down, in the caller's transaction; its number, which no other one ever had."""
        (given,) = self._made.execute("PRAGMA application_id").fetchone()
        return int(
            self._made.execute(
                "INSERT INTO outbox (id, topic, username, address, language, subject, body, unsubscribe, made, state, next, sent)"
                " VALUES ((SELECT max(coalesce(max(id), 0), ?) + 1 FROM outbox), ?, ?, ?, ?, '', '', ?, ?, ?, ?, ?)",
                (
                    given,
                    topic,
                    username,
                    address,
                    language,
                    unsubscribe,
                    at,
                    state,
                    at,
                    at if state == SENT else None,
                ),
            ).lastrowid
            or 0
        )

    def delete(self, mail: int) -> None:
        """Forget a mail, in the caller's transaction; but not its number: whoever has the mail has a link with it."""
        (given,) = self._made.execute("PRAGMA application_id").fetchone()
        if mail > given:
            self._made.execute(f"PRAGMA application_id = {mail:d}")
        self._made.execute("DELETE FROM outbox WHERE id = ?", (mail,))

    def fill(self, mail: int, subject: str, body: str, unsubscribe: str) -> None:
        """Give a mail its text, in the caller's transaction."""
        self._made.execute(
            "UPDATE outbox SET subject = ?, body = ?, unsubscribe = ? WHERE id = ?",
            (subject, body, unsubscribe, mail),
        )

    def get(self, mail: int) -> Mail | None:
        """A mail by its number."""
        row = self._made.execute(f"SELECT {_COLUMNS} FROM outbox WHERE id = ?", (mail,)).fetchone()  # noqa: S608 - names from here
        return Mail(*row) if row else None

    def newest(self, most: int = 200) -> list[Mail]:
        """The newest mails, the newest first."""
        rows = self._made.execute(f"SELECT {_COLUMNS} FROM outbox ORDER BY id DESC LIMIT ?", (most,))  # noqa: S608 - as above
        return [Mail(*row) for row in rows]

    def due(self, at: float) -> list[Mail]:
        """Mails that may be tried now, the oldest first; those that were cut off among them."""
        rows = self._made.execute(
            # one that would wait for longer than any pause was put off by a clock that went wrong
            f"SELECT {_COLUMNS} FROM outbox WHERE state = ? OR (state = ? AND (next <= ? OR next > ?)) ORDER BY id",  # noqa: S608 - as above
            (SENDING, WAITING, at, at + _LONGEST_PAUSE_S),
        )
        return [Mail(*row) for row in rows]

    def waiting(self) -> int:
        """How many mails have not gone out yet."""
        found = self._made.execute("SELECT count(*) FROM outbox WHERE state IN (?, ?)", (WAITING, SENDING))
        return int(found.fetchone()[0])

    def begin(self, mail: Mail) -> None:
        """Write down that a mail is about to be sent."""
        with self._made as made:
            made.execute("UPDATE outbox SET state = ? WHERE id = ?", (SENDING, mail.id))

    def sent(self, mail: Mail, at: float) -> None:
        """Write down that the mail server has taken a mail."""
        with self._made as made:
            made.execute(
                "UPDATE outbox SET state = ?, sent = ?, said = '', tries = tries + 1 WHERE id = ?",
                (SENT, at, mail.id),
            )

    def put_off(self, mail: Mail, at: float, said: str) -> None:
        """Write down that it did not go now: it is tried again, less and less often, at least each hour."""
        pause = min(_FIRST_PAUSE_S * 2 ** min(mail.tries, 10), _LONGEST_PAUSE_S)
        with self._made as made:
            made.execute(
                "UPDATE outbox SET state = ?, next = ?, said = ?, tries = tries + 1 WHERE id = ?",
                (WAITING, at + pause, said[:500], mail.id),
            )

    def refuse(self, mail: Mail, said: str) -> None:
        """Write down that the mail server will never take it."""
        with self._made as made:
            made.execute(
                "UPDATE outbox SET state = ?, said = ?, tries = tries + 1 WHERE id = ?",
                (REFUSED, said[:500], mail.id),
            )

    def again(self, at: float) -> int:
        """Have all that wait or were refused tried again at once; how many."""
        with self._made as made:
            return made.execute(
                "UPDATE outbox SET state = ?, next = ? WHERE state IN (?, ?)",
                (WAITING, at, WAITING, REFUSED),
            ).rowcount

    def unsubscribe(self, username: str, topic: str) -> None:
        """Send no more mails of a topic to somebody."""
        with self._made as made:
            made.execute("INSERT OR IGNORE INTO unsubscribed VALUES (?, ?)", (username, topic))

    def wants(self, username: str, topic: str) -> bool:
        """Whether somebody is still sent mails of a topic."""
        found = self._made.execute(
            "SELECT 1 FROM unsubscribed WHERE username = ? AND topic = ?", (username, topic)
        )
        return found.fetchone() is None
