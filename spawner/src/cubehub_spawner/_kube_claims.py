"""The size of a person's claim: the cluster holds homes to it, where its storage does, and it follows the profile upwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubernetes_asyncio.client import ApiException

from cubehub_spawner._kube_pod import quantity
from cubehub_spawner._kube_resize import API_ERRORS, reason_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from kubernetes_asyncio.client import CoreV1Api


def growth(claim: Mapping[str, Any], storage_bytes: int) -> dict[str, Any] | None:
    """What to send to the API server to bring a claim to a size; None where it has that, or more. Pure.

    Parameters
    ----------
    claim : mapping
        A PersistentVolumeClaim in the API server's spelling.
    storage_bytes : int
        ``storage`` of the person's profile.

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
        has = max(asked, quantity(given)) if given is not None else asked
    except (KeyError, TypeError) as error:
        raise ValueError("the claim says no size") from error
    if has >= storage_bytes:
        return None
    return {"spec": {"resources": {"requests": {"storage": str(storage_bytes)}}}}


async def grow_claim(
    api: CoreV1Api, namespace: str, name: str, storage_bytes: int, log: logging.Logger
) -> bool:
    """Let a claim grow to what its person's profile gives; whether that was asked for.

    Notes
    -----
    It keeps no server from starting: a storage class that lets no claim grow is logged, and the home stays as it is.
    """
    try:
        found = await api.read_namespaced_persistent_volume_claim(name, namespace)
        patch = growth(api.api_client.sanitize_for_serialization(found), storage_bytes)
        if patch is None:
            return False
        await api.patch_namespaced_persistent_volume_claim(name, namespace, patch)
    except ApiException as error:
        if error.status != 404:  # the operator's own volume has no claim
            log.warning("The claim %s keeps its size: %s", name, reason_of(error))
        return False
    except (*API_ERRORS, OSError, ValueError) as error:
        log.warning("The claim %s keeps its size: %s", name, error)
        return False
    log.info("The claim %s grows to %d bytes", name, storage_bytes)
    return True
