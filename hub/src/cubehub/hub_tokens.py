"""What the Hub gave a person to come back with: log-ins of browsers, tokens, servers."""

from __future__ import annotations

from typing import Any

from jupyterhub.orm import new_token

from cubehub.login import explained


def is_by_token(handler: Any, user: Any) -> bool:
    """Whether a request about `user` comes from no browser of theirs.

    Notes
    -----
    It comes with a token of theirs that was not made for a browser (those belong to a session of the Hub),
    or it is another's: an administrator's or a service's.
    """
    if handler is None:
        return False
    if handler.current_user is not user:
        return True
    token = handler.get_token()
    return token is not None and not token.session_id


def end_browser_logins(user: Any) -> None:
    """Make a person's browsers log in again; their other tokens stay.

    Notes
    -----
    The Hub refreshes a person, not a browser: without this, a browser whose session was ended would go on
    as long as a token is used often enough to keep the person fresh.
    """
    for token in list(user.api_tokens):
        if token.session_id:
            user.db.delete(token)
    user.orm_user.cookie_id = new_token()
    user.db.commit()


def end_tokens(user: Any) -> None:
    """Revoke all that a person ever logged in with or made."""
    for token in list(user.api_tokens):
        user.db.delete(token)
    user.orm_user.cookie_id = new_token()
    user.db.commit()


async def end_all_of(user: Any, handler: Any) -> None:
    """Stop a person's servers and revoke their tokens.

    Raises
    ------
    tornado.web.HTTPError
        503 when a server is just starting or stopping.
    """
    for spawner in list(user.spawners.values()):
        if spawner.pending:
            raise explained(
                503,
                "Your user name belonged to another account before.",
                "A server of that one is just starting or stopping. Try again in a minute.",
                handler.settings["login_url"],
            )
        if spawner.active:
            await handler.stop_single_user(user, spawner.name)
    end_tokens(user)
