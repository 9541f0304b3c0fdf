"""The HTTP API of the accounts service, for programs with a token of the Hub."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
from cubehub_spawner.errors import ProfileFileError, SpawnerError
from cubehub_spawner.profiles import NO_PROFILES
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator
from tornado.web import Application, HTTPError, RequestHandler

from cubehub.accounts.access import Reach, asker, reach
from cubehub.accounts.doctor import diagnose
from cubehub.accounts.errors import (
    AccountsError,
    BadRequestError,
    ForbiddenError,
    HubError,
    KeycloakError,
    UnknownUserError,
)
from cubehub.accounts.people import Person, write_moment
from cubehub.accounts.rules import Rules
from cubehub.entitlements.rules import READ_SCOPE, WRITE_SCOPE
from cubehub.keycloak.attributes import LONGEST
from cubehub.keycloak.permissions import ADMIN_GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cubehub.accounts.actions import Actions, Reached
    from cubehub.accounts.reconciler import Reconciler

log = logging.getLogger("cubehub.accounts")
MOST = 100
"""People in one answer."""
_LONGEST_BODY = 64 * 1024
_LONGEST_TIME = timedelta(days=3650)
_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MoveRequest(_Strict):
    """What a move takes."""

    profile: str = Field(min_length=1, max_length=30)
    until: AwareDatetime | None = None
    """When the person goes back to what they had; with its zone."""


class SuspendRequest(_Strict):
    """What a suspension takes."""

    reason: str = Field(max_length=LONGEST)

    @field_validator("reason")
    @classmethod
    def _readable(cls, text: str) -> str:
        text = " ".join(text.split())
        if not text or not text.isprintable():
            raise ValueError("write why, in one readable line")
        return text


class Nothing(_Strict):
    """What a request takes that takes nothing."""


class _Handler(RequestHandler):
    def initialize(self, actions: Actions, reconciler: Reconciler) -> None:
        self.do = actions
        self.reconciler = reconciler

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    async def allow(self, needed: str) -> tuple[str, Reach]:
        """Give who asks and whom the token lets them see or change.

        Notes
        -----
        Only a token in the header counts. A browser sends cookies by itself, also where another page made it ask.
        """
        kind, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if kind.lower() not in ("token", "bearer") or not token.strip():
            raise ForbiddenError("No token was sent.", "Send one of the Hub: `Authorization: token …`.")
        model = await self.do.hub.whose(token.strip())
        if model is None:
            raise ForbiddenError("The Hub does not know this token.", "Make one on the Hub's page Token.")
        name = str(model.get("name", "")) if model.get("kind") == "user" else ""
        allowed = reach(model.get("scopes") or [], needed, name)
        if not allowed:
            raise ForbiddenError(
                f"This needs the scope {needed}.", "Administrators' and some services' tokens have it."
            )
        return asker(model), allowed

    def rules(self) -> Rules:
        """Read the profiles."""
        return self.do.rules()

    async def person(self, name: str, allowed: Reach) -> tuple[Person, Rules]:
        """Find somebody whom the token is about; of others not even whether they exist is told."""
        rules = self.rules()
        try:
            found = await self.do.membership.find(name, rules.granting | allowed.groups)
        except UnknownUserError:
            if allowed.everybody:
                raise
            found = None
        if found is None or not allowed.includes(found):
            raise ForbiddenError(f"The token's scope does not include {name!r}.", "Ask for one that does.")
        return found, rules

    def body(self, model: type[_Strict]) -> Any:
        """Read what was sent."""
        try:
            return model.model_validate_json(self.request.body or b"{}")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            said = first["msg"].removeprefix("Value error, ")
            fields = ", ".join(model.model_fields) or "nothing"
            # of a value that is wrong, the message itself says what it should be
            hint = "Nothing was changed." if where in model.model_fields else f"What can be given: {fields}."
            raise BadRequestError(f"{where}: {said}", hint) from error

    def number(self, name: str, default: int, most: int) -> int:
        """Read a whole number from the query."""
        text = self.get_query_argument(name, str(default))
        if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > most:
            raise BadRequestError(f"{name} must be a whole number from 0 to {most}.", f"Not {text[:40]!r}.")
        return int(text)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None))[1]
        if isinstance(error, AccountsError):
            self.set_status(error.status)
            told = (error.code, error.message, error.hint)
        elif isinstance(error, SpawnerError):
            self.set_status(503)
            told = (error.code, error.message, error.hint)
        elif isinstance(error, HTTPError):
            told = ({404: "not_found", 405: "bad_method"}.get(status_code, "bad_input"), self._reason, "")
        else:
            told = ("failure", "Something went wrong here.", "`cubehub logs accounts` says what.")
        self.finish(json.dumps(dict(zip(("code", "message", "hint"), told, strict=True))))

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        if isinstance(value, AccountsError | SpawnerError):
            if not isinstance(value, ForbiddenError | BadRequestError | UnknownUserError):
                log.warning(
                    "%s %s: %s (%s)", self.request.method, self.request.path, value.message, value.code
                )
            return
        super().log_exception(kind, value, trace)

    def answer(self, content: Mapping[str, Any]) -> None:
        """Write JSON."""
        self.finish(json.dumps(content))


def describe(person: Person, rules: Rules) -> dict[str, Any]:
    """Describe a person as the API tells about them."""
    granted = rules.granted(person)
    return {
        "name": person.username,
        "id": person.id,
        "email": person.email,
        "full_name": person.full_name,
        "language": person.language,
        "enabled": person.enabled,
        "suspended": person.suspended,
        "administrator": person.administrator,
        "groups": sorted(person.groups),
        "profiles": granted,
        "profile": granted[0] if granted else None,
        "until": write_moment(person.until) if person.until else None,
        "until_profile": person.until_profile,
    }


class UsersHandler(_Handler):
    """People, page by page."""

    async def get(self) -> None:
        """List those whom the token is about, in the order of their names."""
        _, allowed = await self.allow(READ_SCOPE)
        first, most = self.number("first", 0, 10**8), self.number("max", 50, MOST)
        text = self.get_query_argument("search", "")[:200]
        rules = self.do.rules()
        members = await self.do.membership.members(rules.granting | allowed.groups | {ADMIN_GROUP})
        if allowed.everybody:
            page = await self.do.membership.search(text, first, most + 1)
        else:
            named = [one for one in members.values() if allowed.includes(one)]
            for name in sorted(allowed.users - {one.key for one in named}):
                try:
                    named.append(await self.do.membership.find(name, rules.granting))
                except UnknownUserError:
                    continue
            matching = [one for one in named if _matches(one, text)]
            page = sorted(matching, key=lambda one: one.key)[first : first + most + 1]
        people = [describe(members.get(one.key, one), rules) for one in page[:most]]
        self.answer({"users": people, "first": first, "more": len(page) > most})


def _matches(person: Person, text: str) -> bool:
    about = f"{person.username} {person.full_name} {person.email or ''}".lower()
    return all(word in about for word in text.lower().replace("*", " ").split())


class UserHandler(_Handler):
    """One person."""

    async def get(self, name: str) -> None:
        """Describe one person."""
        _, allowed = await self.allow(READ_SCOPE)
        self.answer(describe(*await self.person(name, allowed)))


class _Change(_Handler, ABC):
    takes: type[_Strict] = Nothing

    async def post(self, name: str) -> None:
        """Change something about one person, and tell what it reached."""
        who, allowed = await self.allow(WRITE_SCOPE)
        found, _ = await self.person(name, allowed)
        reached = await self.change(found, self.body(self.takes), who)
        after, rules = await self.person_after(found)
        self.answer(
            {"user": describe(after, rules), "before": describe(found, rules), "reached": reached.as_json()}
        )

    async def person_after(self, before: Person) -> tuple[Person, Rules]:
        rules = self.rules()
        return await self.do.membership.find(before.username, rules.granting), rules

    @abstractmethod
    async def change(self, person: Person, asked: Any, who: str) -> Reached: ...


class MoveHandler(_Change):
    """Another profile."""

    takes = MoveRequest

    async def change(self, person: Person, asked: MoveRequest, who: str) -> Reached:
        """Move."""
        now = datetime.now(UTC)
        if asked.until is not None and not now < asked.until <= now + _LONGEST_TIME:
            raise BadRequestError(
                f"until: {write_moment(asked.until)} is not within the next ten years.",
                "Name a moment that is still to come.",
                code="until_past",
            )
        return await self.do.move(person.username, asked.profile, asked.until, who)


class SuspendHandler(_Change):
    """No access, for a reason."""

    takes = SuspendRequest

    def rules(self) -> Rules:
        """Read the profiles; without them nobody is known to have one, and is suspended all the same."""
        try:
            return super().rules()
        except ProfileFileError:
            return Rules(NO_PROFILES, {})

    async def change(self, person: Person, asked: SuspendRequest, who: str) -> Reached:
        """Suspend."""
        return await self.do.suspend(person.username, asked.reason, who)


class ResumeHandler(_Change):
    """Access again."""

    async def change(self, person: Person, asked: Nothing, who: str) -> Reached:  # noqa: ARG002 - as the others
        """Resume."""
        return await self.do.resume(person.username, who)


class DoctorHandler(_Handler):
    """Why a person gets what they get."""

    async def get(self, name: str) -> None:
        """Diagnose."""
        _, allowed = await self.allow(READ_SCOPE)
        person, rules = await self.person(name, allowed)
        hub, problem = None, None
        try:
            hub = await self.do.hub.entitlement(person.username)
        except (HubError, KeycloakError, UnknownUserError) as error:
            problem = {"level": "problem", "code": error.code, "message": error.message, "hint": error.hint}
        memory = psutil.virtual_memory()
        servers = hub["servers"] if hub else None
        found = [
            one.as_json() for one in diagnose(person, rules, servers, memory.available, datetime.now(UTC))
        ]
        self.answer(
            {
                "user": describe(person, rules),
                "refusal": hub["refusal"] if hub else None,
                "servers": servers,
                "machine": {"memory_bytes": memory.total, "available_bytes": memory.available},
                "findings": [*found, *([problem] if problem else [])],
            }
        )


class HealthHandler(_Handler):
    """Whether the service works."""

    def get(self) -> None:
        """Tell; 200 also while Keycloak or the Hub is away, which a restart of this service does not mend."""
        self.answer({"status": "ok", "reconciler": self.reconciler.state})


class _NotFound(_Handler):
    def prepare(self) -> None:
        raise HTTPError(404, reason="There is no such address here.")


def make_app(prefix: str, actions: Actions, reconciler: Reconciler) -> Application:
    """Build the application; every address is below `prefix`, as the proxy leaves it in place."""
    made = {"actions": actions, "reconciler": reconciler}
    api = f"{prefix}/api"
    user = rf"{api}/users/([^/]+)"
    return Application(
        [
            # the Hub asks at the root whether a service answers at all
            (rf"{prefix}(?:|/|/health|/api/health)", HealthHandler, made),
            (rf"{api}/users", UsersHandler, made),
            (user, UserHandler, made),
            (rf"{user}/move", MoveHandler, made),
            (rf"{user}/suspend", SuspendHandler, made),
            (rf"{user}/resume", ResumeHandler, made),
            (rf"{user}/doctor", DoctorHandler, made),
            (r".*", _NotFound, made),
        ]
    )


LIMITS = {"max_body_size": _LONGEST_BODY, "max_buffer_size": 2 * _LONGEST_BODY}
"""For the server: nobody without a token gets to hold more memory than this."""
