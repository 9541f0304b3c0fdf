"""Who sends a request: from its header or cookie to a person whom the realm stands by. No server is imported."""

from dataclasses import dataclass, field

from xcube_cubehub.access import Identity
from xcube_cubehub.errors import IssuerUnreachableError, SessionOverError, TokenError
from xcube_cubehub.liveness import Liveness
from xcube_cubehub.tokens import ImageCookie, TokenVerifier


@dataclass(frozen=True)
class Claim:
    """What a request says of its sender, as far as that can be seen without asking anybody.

    Attributes
    ----------
    token : str
        Empty for a visitor.
    identity : Identity or None
        What the token says. Not to be decided by: the account may be suspended since.
    problem : IssuerUnreachableError or None
        Why the token could not be judged.
    """

    token: str = field(default="", repr=False)
    identity: Identity | None = None
    problem: IssuerUnreachableError | None = None


@dataclass(frozen=True)
class Caller:
    """Who is to be answered: a person, or a visitor and why a token that came along counts for nothing."""

    identity: Identity | None = None
    problem: TokenError | IssuerUnreachableError | None = None


class Callers:
    """Reads who sends a request, and asks the realm about them.

    Parameters
    ----------
    verifier : TokenVerifier
        Judges tokens by themselves.
    liveness : Liveness
        Asks the realm whether they still hold.
    cookie : ImageCookie
        Opens what images come with.
    """

    def __init__(self, verifier: TokenVerifier, liveness: Liveness, cookie: ImageCookie) -> None:
        self._verifier = verifier
        self._liveness = liveness
        self._cookie = cookie

    async def read(self, authorization: str | None, cookie: str | None = None) -> Claim:
        """Read an Authorization header; without one, a cookie.

        Raises
        ------
        TokenError
            The header holds no bearer token that is good for this server. A cookie that is not is passed over: its
            browser did not ask for anything special.
        """
        if authorization is None:
            token = self._cookie.open(cookie) if cookie else None
            try:
                return Claim() if token is None else await self._judge(token)
            except TokenError:
                return Claim()
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise TokenError("the Authorization header is not a bearer token", "sign in again")
        return await self._judge(token)

    async def _judge(self, token: str) -> Claim:
        try:
            return Claim(token, await self._verifier.identify(token))
        except IssuerUnreachableError as error:
            return Claim(token, problem=error)

    async def confirm(self, claim: Claim) -> Caller:
        """Ask whether the realm still stands by a claim; where it does not, the sender is a visitor."""
        if claim.identity is None:
            return Caller(problem=claim.problem)
        try:
            return Caller(await self._liveness.confirm(claim.token, claim.identity))
        except (SessionOverError, IssuerUnreachableError) as error:
            return Caller(problem=error)
