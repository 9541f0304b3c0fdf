"""The person's part of the service: for Lab, for a page of its own, and for links in mails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub.errors import BadInputError, CubeHubError
from cubehub.storage.kinds import KINDS
from cubehub.storage.names import readable
from cubehub.storage.notices import record
from cubehub.storage.service.access import ForbiddenError, Handler
from cubehub.storage.service.mine import KEEP_DAYS, Mine, a_path
from cubehub.storage.whose import is_anothers

if TYPE_CHECKING:
    from collections.abc import Callable

    from cubehub.mail.outbox import Mail
    from cubehub.storage.deciding import Owner
    from cubehub.storage.keeping import Keeping
    from cubehub.storage.notices.record import Noticed


class _Mine(Handler):
    owner: Owner | None = None

    async def prepare(self) -> None:
        """Look that the home is theirs: their name may have been another account's."""
        await super().prepare()
        if self._finished:
            return
        home = readable(self.own_home())
        self.owner = await self.office.owner_of(home)
        if self.owner is not None and is_anothers(self.office.settings.homes, home, self.owner):
            raise ForbiddenError(
                "The home of your name is still that of an earlier account.",
                "Start your server once: then you have one of your own.",
            )

    async def with_mine(self, act: Callable[[Mine], Any], *, moves: bool = False) -> Any:
        home, name = self.own_home(), self.me.name
        return await self.office.do(
            lambda keeping: act(Mine(keeping, home, name)), name, moves=moves, lenient=True
        )

    async def describe(self) -> None:
        limit = self.owner.storage if self.owner else None
        self.answer(await self.with_mine(lambda mine: mine.describe(limit)))


class MineHandler(_Mine):
    """All about one's own home."""

    async def get(self) -> None:
        """Describe it."""
        await self.describe()


class KeepHandler(_Mine):
    """Keep a path."""

    async def post(self) -> None:
        """Keep it for some days."""
        sent = self.body()
        path, days = a_path(sent.get("path")), sent.get("days", KEEP_DAYS)
        if not isinstance(days, int) or isinstance(days, bool):
            raise BadInputError("days must be a whole number.", f"Such as {KEEP_DAYS}.")
        await self.with_mine(lambda mine: mine.keep(path, days))
        await self.describe()


class LetGoHandler(_Mine):
    """Keep a path no longer."""

    async def post(self) -> None:
        """Let it go."""
        path = a_path(self.body().get("path"))
        await self.with_mine(lambda mine: mine.let_go(path))
        await self.describe()


class RestoreHandler(_Mine):
    """Bring something back."""

    async def post(self) -> None:
        """Bring it back, or one file or folder of it."""
        sent = self.body()
        number = a_number(sent.get("number"))
        only = a_path(sent["only"]) if sent.get("only") else None
        home, busy = self.own_home(), self.office.restoring
        if home in busy:
            raise CubeHubError(
                "Something of yours is being brought back just now.", "Wait until it is there.", code="busy"
            )
        busy.add(home)
        try:
            done = await self.with_mine(lambda mine: mine.restore(number, only), moves=True)
        finally:
            busy.discard(home)
        self.answer({"restored": readable(done.path), "bytes": done.bytes})


class InsideHandler(_Mine):
    """What is in something that is away."""

    async def get(self) -> None:
        """List the first of it."""
        number = a_number(self.get_query_argument("number", ""))
        self.answer({"entries": await self.with_mine(lambda mine: mine.inside(number), moves=True)})


def a_number(value: object) -> int:
    """The number of something that is away.

    Raises
    ------
    BadInputError
        It is none.
    """
    text = str(value) if isinstance(value, int | str) else ""
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise BadInputError("number must be one of the list.", "See `away` in /api/mine.")
    return int(text)


class HomePage(Handler):
    """The person's page, for whoever has no Lab open."""

    page = True

    async def get(self) -> None:
        """Show it; its script asks for the rest."""
        if self._finished:
            return
        self.give_xsrf()
        self.office.show(self, "mine.html", name=self.me.name, administrator=self.me.administrator)


# Links in mails: whoever has the mail may keep, and nothing else


class _Linked(Handler):
    page = True
    open_to_all = True
    secret_address = True
    what = ""

    async def mail(self, text: str) -> tuple[Mail, list[Noticed]]:
        number = self.office.settings.links().read(self.what, text)

        def look(keeping: Keeping) -> tuple[Mail, list[Noticed]] | None:
            with record.opened(keeping.settings.state) as told:
                found = told.outbox.get(number) if number is not None else None
                return (found, told.of_mail(found.id)) if found is not None else None

        found = await self.office.do(look, "a link in a mail", lenient=True) if number is not None else None
        if found is None:
            raise CubeHubError(
                "This link is not one of ours, or is not complete.",
                "Copy the whole address from the mail, or log in and look at your home.",
                code="not_found",
            )
        return found


class KeepLink(_Linked):
    """Keep what a mail is about."""

    what = "keep"

    async def get(self, text: str) -> None:
        """Show what it is about. Nothing is kept yet: programs that check mails open all links."""
        mail, about = await self.mail(text)
        rows = [
            {
                "path": readable(one.path),
                "kind": KINDS[one.kind],
                "bytes": one.bytes,
                "over": one.why if one.ended else "",
            }
            for one in about
        ]
        self.office.show(self, "keep.html", name=mail.username, rows=rows, days=KEEP_DAYS, done=False)

    async def post(self, text: str) -> None:
        """Keep it."""
        mail, about = await self.mail(text)

        def keep(keeping: Keeping) -> None:
            for home in {one.home for one in about}:
                paths = [one.path for one in about if one.home == home and one.ended is None]
                Mine(keeping, home, mail.username).keep_all(paths, KEEP_DAYS)

        await self.office.do(keep, mail.username, lenient=True)
        mail, about = await self.mail(text)
        rows = [
            {"path": readable(one.path), "kind": KINDS[one.kind], "bytes": one.bytes, "over": one.why}
            for one in about
        ]
        self.office.show(self, "keep.html", name=mail.username, rows=rows, days=KEEP_DAYS, done=True)


class UnsubscribeLink(_Linked):
    """No more mails of a topic."""

    what = "unsubscribe"

    async def get(self, text: str) -> None:
        """Ask."""
        mail, _ = await self.mail(text)
        self.office.show(self, "unsubscribe.html", name=mail.username, done=False)

    async def post(self, text: str) -> None:
        """Do it; mail programs send this themselves (RFC 8058)."""
        mail, _ = await self.mail(text)

        def stop(keeping: Keeping) -> None:
            with record.opened(keeping.settings.state) as told:
                told.outbox.unsubscribe(mail.username, mail.topic)

        await self.office.do(stop, mail.username, lenient=True)
        self.office.show(self, "unsubscribe.html", name=mail.username, done=True)
