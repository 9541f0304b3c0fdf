"""The administrators' part of the service: fill over time, plans, what is away, mails, rounds."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from cubehub_spawner.errors import SpawnerError
from tornado.web import HTTPError, stream_request_body

from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage import journal, planning, rounds
from cubehub.storage.deciding import Kept
from cubehub.storage.journal import PURGED
from cubehub.storage.kinds import KINDS
from cubehub.storage.names import readable
from cubehub.storage.notices import record
from cubehub.storage.results import Results
from cubehub.storage.service.access import Handler
from cubehub.storage.service.mine import a_name, a_path, day, moment
from cubehub.storage.service.person import a_number
from cubehub.storage.since import Since

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1Connection

    from cubehub.storage.keeping import Keeping, Plan
    from cubehub.storage.quarantine import Outcome

LONGEST_PLAN = 32 * 2**20
"""Bytes that are sent to have a plan applied: it may have very many lines."""
MOST_ROWS = 2_000
"""Of a plan that a page shows; the file has all."""
_SHORT = 64 * 1024
"""Bytes that are read, and thrown away, from whom may not send a plan."""
_DAY_S = 86400


class _Admin(Handler):
    async def prepare(self) -> None:
        await super().prepare()
        if not self._finished:
            self.administrator()

    async def summary(self) -> dict[str, Any]:
        """How things are, and what is wrong with the settings."""
        found = await self.office.do(summary, self.me.name, lenient=True)
        return found | {"trouble": self.office.trouble}


class AdminPage(_Admin):
    """The page."""

    page = True

    async def get(self) -> None:
        """Show it; its script asks for the rest."""
        if not self._finished:
            self.give_xsrf()
            self.office.show(self, "admin.html", name=self.me.name)


class SummaryHandler(_Admin):
    """How things are."""

    async def get(self) -> None:
        """Tell all but plans."""
        self.answer(await self.summary())


def summary(keeping: Keeping) -> dict[str, Any]:
    """What the page shows at its beginning."""
    state = keeping.settings.state
    scans = Results(state).scans()
    homes = Since(state, scans[0]).homes if scans else []
    away = [m for m in journal.read(state, *journal.AWAY) if m.restorable]
    gone = journal.read(state, PURGED, journal.EXPIRED)
    with record.opened(state) as told:
        mails = told.outbox.newest(50)
        noticed = told.open_ones()
        kept = told.kept(keeping.now())
    policy = keeping.policy
    return {
        "policy": {"preset": policy.preset, "automatic": policy.automatic, "archive": bool(policy.archive.to)},
        "fill": [{"at": moment(s.ended), "bytes": s.bytes, "homes": s.homes, "files": s.files} for s in scans[::-1]],
        "homes": [
            {
                "name": h.name, "bytes": h.bytes, "files": h.files, "newest": h.newest,
                "caches": sum(s.bytes for s in h.caches.values()), "unread": h.unread,
            }
            for h in homes[:200]
        ],
        "away": [
            {
                "number": m.id, "run": m.run, "home": readable(m.home), "path": readable(m.path), "kind": m.kind,
                "bytes": m.bytes, "since": moment(m.at), "state": m.state, "archived": m.seal is not None,
            }
            for m in away[-MOST_ROWS:][::-1]
        ],
        "stuck": [
            {
                "number": m.id, "home": readable(m.home), "path": readable(m.path), "bytes": m.bytes,
                "since": moment(m.at), "why": why,
            }
            for m, why in journal.read_stuck(state)[:MOST_ROWS]
        ],
        "sums": {
            "noticed": sum(n.bytes for n in noticed),
            "quarantined": sum(m.bytes for m in away if m.state != PURGED),
            "archived": sum(m.bytes for m in away if m.seal is not None),
            "freed": sum(m.bytes for m in gone),
        },
        "noticed": len(noticed),
        "kept": [
            {"home": readable(k.home), "path": readable(k.path), "until": day(k.until), "by": k.by} for k in kept
        ],
        "mails": [
            {
                "at": moment(m.made), "to": m.address, "subject": m.subject, "body": m.body, "state": m.state,
                "said": m.said,
            }
            for m in mails
        ],
        "rounds": [
            rounds.as_json(r) | {"started": moment(r.started), "ended": moment(r.ended)}
            for r in rounds.History(state).newest(10)
        ],
        "running": rounds.progress(state),
        "paused": rounds.paused(state),
        "undo": undoable(keeping),
    }  # fmt: skip


def undoable(keeping: Keeping) -> dict[str, Any] | None:
    """The last run, if anything of it can be put back."""
    for run, at, entries, size, there in journal.runs(keeping.settings.state, 1):
        if there:
            return {"run": run, "at": moment(at), "entries": entries, "bytes": size}
    return None


class PlanHandler(_Admin):
    """What the policy would move."""

    async def post(self) -> None:
        """Plan as of a date: its entries and the file that `apply` takes."""
        by = self.body().get("by")
        at = None if not by else _date(by)
        made, waiting, text = await self.office.do(lambda k: _planned(k, at), self.me.name)
        self.answer(
            {
                "at": moment(made.at),
                "scanned": moment(made.known.summary.ended),
                "people": made.known.people,
                "count": len(made.entries),
                "bytes": sum(e.bytes for e in made.entries),
                "by_kind": _by_kind(made),
                "excess": [asdict(x) | {"home": readable(x.home)} for x in made.excess],
                "entries": [
                    {
                        "home": readable(e.home), "path": readable(e.path), "kind": e.kind, "about": KINDS[e.kind], "bytes": e.bytes,
                        "files": e.files, "last_used": moment(e.newest) if e.newest else None,
                        "waits": waiting.get((e.home, e.path), ""),
                    }
                    for e in made.entries[:MOST_ROWS]
                ],
                "plan": text,
            }
        )  # fmt: skip


def _planned(keeping: Keeping, at: float | None) -> tuple[Plan, dict[tuple[bytes, bytes], str], str]:
    made = keeping.plan(at)
    text = planning.write(made.entries, [f"CubeHub: as of {moment(made.at)}"])
    return made, keeping.waiting(made.entries), text


def _by_kind(made: Plan) -> list[dict[str, Any]]:
    found: dict[str, list[int]] = {}
    for entry in made.entries:
        found.setdefault(entry.kind, []).append(entry.bytes)
    return [
        {"kind": kind, "count": len(sizes), "bytes": sum(sizes)}
        for kind, sizes in sorted(found.items(), key=lambda item: -sum(item[1]))
    ]


def _date(text: object) -> float:
    try:
        found = datetime.fromisoformat(str(text))
        at = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadInputError(f"{str(text)[:40]!r} is no date.", "Write it as 2027-03-01.") from error
    if at < datetime.now(UTC).timestamp() - _DAY_S:
        raise BadInputError(f"{str(text)[:40]} is over already.", "Name a day to come, or none for today.")
    return at


@stream_request_body
class ApplyHandler(_Admin):
    """Move what a plan says."""

    async def prepare(self) -> None:
        """Take as much as a plan may have only from whom may send one."""
        self._sent = bytearray()
        self._refused: Exception | None = None
        try:
            await super().prepare()
        except (CubeHubError, SpawnerError, HTTPError) as error:
            length = self.request.headers.get("Content-Length", "")
            if self.request.method != "POST" or not length.isdigit() or int(length) > _SHORT:
                raise
            # when it is read: Tornado closes a connection on which it answers before that, and the proxy may then tell
            # that nobody is there
            self._refused = error
            return
        if not self._finished:
            cast("HTTP1Connection", self.request.connection).set_max_body_size(LONGEST_PLAN)

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of it."""
        if self._refused is None:
            self._sent += chunk

    async def post(self) -> None:
        """Apply a plan that somebody may have cut; only the lines that are sent."""
        if self._refused is not None:
            raise self._refused
        self.request.body = bytes(self._sent)
        sent = self.body()
        text, really = sent.get("plan"), sent.get("yes_really") is True
        if not isinstance(text, str):
            raise BadInputError("plan must be a text.", "Send the lines that /api/admin/plan gave.")
        self.answer(
            _told(await self.office.do(lambda k: _apply(k, text, really=really), self.me.name, moves=True))
        )


def _apply(keeping: Keeping, text: str, *, really: bool) -> list[Outcome]:
    entries = planning.read(text, "The plan")
    over = planning.excess(entries, keeping.known().sizes, keeping.policy)
    if over and not really:
        most = over[0]
        what = f"of the home {readable(most.home)}" if most.home else "of all homes together"
        raise BadInputError(
            f"The plan moves {most.per_cent:.0f} % {what}, and a run may move {most.allowed:g} %.",
            "Take lines out, or say that you have looked at it.",
            code="too_much",
        )
    return keeping.apply(entries, text, keeping.waiting(entries))


def _told(done: list[Outcome]) -> dict[str, Any]:
    return {
        "done": sum(not o.why for o in done),
        "bytes": sum(o.bytes for o in done if not o.why),
        "left": [{"home": readable(o.home), "path": readable(o.path), "why": o.why} for o in done if o.why][
            :MOST_ROWS
        ],
    }


class UndoHandler(_Admin):
    """Take the last run back."""

    async def post(self) -> None:
        """Put back what it moved and can still be had; of the run that was seen, if its number is sent."""
        seen = self.body().get("run")
        expected = None if seen is None else a_number(seen)
        self.answer(
            _told(await self.office.do(lambda k: _undo(k, expected), self.me.name, moves=True, lenient=True))
        )


def _undo(keeping: Keeping, expected: int | None) -> list[Outcome]:
    with keeping.keeper() as (keeper, made):
        run = made.last_run()
        if expected not in {None, run}:
            raise BadInputError("Another run was made meanwhile.", "Load the page anew, and look at it.")
        wanted = [] if run is None else [m for m in made.of_run(run) if m.restorable]
        if not wanted:
            raise BadInputError(
                "The last run has nothing that can be put back.", "See what is away for earlier ones."
            )
        done = [keeping.bring_back(keeper, made, one) for one in wanted[::-1]]
    keeping.note("restore", done)
    return done


class BackHandler(_Admin):
    """Bring something of anybody's back."""

    async def post(self) -> None:
        """By its number."""
        number = a_number(self.body().get("number"))

        def act(keeping: Keeping) -> list[Outcome]:
            with keeping.keeper() as (keeper, made):
                there = made.moves(*journal.AWAY)
                wanted = [m for m in there if m.id == number and m.restorable]
                if not wanted:
                    raise BadInputError(
                        f"There is nothing number {number!r} that is away.", "Load the page anew."
                    )
                done = [keeping.bring_back(keeper, made, one) for one in wanted]
            keeping.note("restore", done)
            return done

        self.answer(_told(await self.office.do(act, self.me.name, moves=True, lenient=True)))


class HoldHandler(_Admin):
    """Let nothing of a home be moved, or take that back."""

    async def post(self) -> None:
        """Hold, or release with ``hold: false``."""
        sent = self.body()
        home, path = sent.get("home"), a_path(sent.get("path", ""))
        if not isinstance(home, str) or not home:
            raise BadInputError("home must be the name of one.", "Take it from the list.")
        hold = sent.get("hold", True)
        if not isinstance(hold, bool):
            raise BadInputError("hold must be true or false.", "False takes it back.")
        name, me = a_name(home), self.me.name

        def act(keeping: Keeping) -> None:
            with record.opened(keeping.settings.state) as told:
                if hold:
                    told.keep(Kept(name, path, None, "admin"), me, keeping.now())
                else:
                    told.let_go(name, path, "admin")

        await self.office.do(act, me, lenient=True)
        self.answer(await self.summary())


class RoundHandler(_Admin):
    """Rounds: begin one, pause them, go on."""

    async def post(self, what: str) -> None:
        """Do it."""
        state, me = self.office.settings.state, self.me.name
        if what == "pause":
            why = self.body().get("why", "")
            if not isinstance(why, str) or len(why) > 200 or not why.isprintable():
                raise BadInputError("why must be a short text.", "Write a line.")
            await self.office.do(lambda k: rounds.pause(state, me, why, k.now()), me, lenient=True)
        elif what == "resume":
            await self.office.do(lambda _: rounds.resume(state), me, lenient=True)
        else:
            found = await self.office.do(lambda _: rounds.paused(state), me)
            if found is not None:
                raise rounds.PausedError(f"Rounds are paused by {found['by']}.", "Press Go on first.")
            self.office.rounds.begin(me)
        self.answer(await self.summary())
