"""The size of a person's claim on Kubernetes: the cluster holds homes to it, where its storage does. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cubehub_spawner._kube_pod import quantity

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ClaimSize:
    """What a claim has, and what becomes of it."""

    has: int
    """What the cluster gave, in bytes; before it gave anything, what was asked for."""
    should_have: int
    patch: dict[str, Any] | None
    """What to send to the API server, where the claim can be brought to it."""
    reason: str = ""
    """Why it can't; empty where it can or need not."""


def claim_size(claim: Mapping[str, Any], storage_bytes: int, *, expands: bool) -> ClaimSize:
    """Tell what to do about a claim.

    Parameters
    ----------
    claim : mapping
        A PersistentVolumeClaim in the API server's spelling.
    storage_bytes : int
        ``storage`` of the person's profile; the spawner asks for this when it makes a claim.
    expands : bool
        ``allowVolumeExpansion`` of the claim's storage class.

    Notes
    -----
    A claim can grow and never shrink: a smaller profile leaves it as it is.

    Raises
    ------
    ValueError
        The claim says no size.
    """
    try:
        asked = quantity(claim["spec"]["resources"]["requests"]["storage"])
        given = ((claim.get("status") or {}).get("capacity") or {}).get("storage")
        has = int(quantity(given)) if given is not None else int(asked)
    except (KeyError, TypeError) as error:
        raise ValueError("the claim says no size") from error
    wanted = Decimal(storage_bytes)
    if asked == wanted or (asked < wanted <= has):
        return ClaimSize(has, storage_bytes, None)
    if asked > wanted:
        return ClaimSize(has, storage_bytes, None, "a claim can't be made smaller")
    if not expands:
        return ClaimSize(
            has, storage_bytes, None, "its storage class lets no claim grow (allowVolumeExpansion)"
        )
    patch = {"spec": {"resources": {"requests": {"storage": str(storage_bytes)}}}}
    return ClaimSize(has, storage_bytes, patch)
