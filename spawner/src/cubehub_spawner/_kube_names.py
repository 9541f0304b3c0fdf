"""Names for pods, claims and namespaces: valid and distinct for any person and any server."""

from __future__ import annotations

from cubehub_spawner.names import slug

ACCOUNT_LABEL = "cubehub/account"
"""On each pod and claim: the directory's id of the account it belongs to, as `slug` writes it."""
PROFILE_LABEL = "cubehub/profile"
PEOPLE_LABEL = "cubehub/people"
"""``true`` on each namespace in which people's servers run; config/kubernetes/ goes by it."""


def pod_name(username: str, server_name: str = "") -> str:
    """Name a server's pod: ``jupyter-`` and at most 48 more of ``a-z``, ``0-9`` and ``-``.

    Notes
    -----
    Person and server are joined by a character that neither can contain, so that ``a`` with a server ``b-c`` and
    ``a-b`` with a server ``c`` are two. The name ends in 16 digits of a digest then; kubespawner's own has eight,
    which somebody who may choose their user name could hit on purpose.
    """
    whole = f"{username}\0{server_name}" if server_name else username
    return f"jupyter-{slug(whole)}"


def claim_name(account_id: str) -> str:
    """Name the claim of a person's home: by account, so that whoever gets the name later gets an empty one."""
    return f"home-{slug(account_id)}"


def namespace_name(prefix: str, account_id: str) -> str:
    """Name the namespace of an account's servers and home; the home stays where a person is renamed."""
    return f"{prefix}{slug(account_id)}"
