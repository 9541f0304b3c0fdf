"""Send a dataset step by step: a step in memory, the next one being computed, and never one that is there already."""

from __future__ import annotations

import hashlib
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from cubehub.publishing.errors import PublishingError
from cubehub.publishing.service import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt
    import xarray as xr

    from cubehub.publishing.service import Service

_CONNECTIONS = 4
_ASK_AGAIN_S = 0.3
_TRIES = 5


def send(
    service: Service, begun: dict[str, Any], dataset: xr.Dataset, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """Send what is missing of an upload, have it built, and give what the platform says of the cube.

    Parameters
    ----------
    begun
        The platform's answer to the beginning.
    progress
        Told what is being done, how much of it, and of how much.

    Raises
    ------
    ChangedError
        What was sent earlier was of other values.
    PublishingError
        The platform refuses, or does not answer any more.
    """
    upload = f"/uploads/{begun['upload']}"
    if begun["state"] == "receiving":
        _send_steps(service, begun, dataset, progress)
    return _finish(service, upload, progress)


class ChangedError(PublishingError):
    """What was sent by an earlier attempt are other values than those of now."""

    code = "changed"


def _send_steps(
    service: Service, begun: dict[str, Any], dataset: xr.Dataset, progress: Callable[[str, int, int], None]
) -> None:
    upload, steps = f"/uploads/{begun['upload']}", int(begun["steps"])
    known = {int(step): str(fingerprint) for step, fingerprint in begun["known"].items()}
    with ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="cubehub-send") as pool:
        progress("sending", 0, steps)
        for step, fields in _computed(dataset, begun, steps):
            parts = list(_parts(fields, int(begun["rows"])))
            fingerprint = hashlib.sha256(b"".join(digest for _, _, digest, _ in parts)).hexdigest()
            if step < int(begun["next"]):
                if begun["fingerprints"][step] != fingerprint:
                    raise ChangedError("The values have changed since this upload was begun.")
            elif known.get(step) != fingerprint or not _take_over(service, upload, step, fingerprint):
                _send_step(service, upload, step, parts, pool)
            progress("sending", step + 1, steps)


def _computed(
    dataset: xr.Dataset, begun: dict[str, Any], steps: int
) -> Iterator[tuple[int, dict[str, npt.NDArray[np.float32]]]]:
    """Give the steps with their values; the next one is computed meanwhile."""
    import numpy as np  # noqa: PLC0415

    time_dim, rows, columns = begun["dims"]
    chosen = dataset[list(begun["variables"])]

    def compute(step: int) -> dict[str, npt.NDArray[np.float32]]:
        # all variables at once, so that dask reads what they share once
        here = chosen.isel({time_dim: step}).compute()
        return {
            name: np.ascontiguousarray(here[name].transpose(rows, columns).values, "<f4")
            for name in begun["variables"]
        }

    with ThreadPoolExecutor(1, thread_name_prefix="cubehub-compute") as ahead:
        following = ahead.submit(compute, 0)
        for step in range(steps):
            fields = following.result()
            if step + 1 < steps:
                following = ahead.submit(compute, step + 1)
            yield step, fields


def _parts(
    fields: dict[str, npt.NDArray[np.float32]], height: int
) -> Iterator[tuple[str, int, bytes, npt.NDArray[np.float32]]]:
    for name, field in fields.items():
        for part, first in enumerate(range(0, len(field), height)):
            band = field[first : first + height]
            yield name, part, hashlib.sha256(band.data).digest(), band


def _take_over(service: Service, upload: str, step: int, fingerprint: str) -> bool:
    try:
        service.ask("POST", f"{upload}/steps/{step}?same={fingerprint}")
    except PublishingError as error:
        if error.code == "not_the_same":
            return False
        raise
    return True


def _send_step(
    service: Service,
    upload: str,
    step: int,
    parts: list[tuple[str, int, bytes, npt.NDArray[np.float32]]],
    pool: ThreadPoolExecutor,
) -> None:
    def put(one: tuple[str, int, bytes, npt.NDArray[np.float32]]) -> None:
        name, part, digest, band = one
        path = f"{upload}/steps/{step}/{quoted(name)}/{part}?sha256={digest.hex()}"
        service.ask("PUT", path, body=zlib.compress(band.data, 1))

    for last in [False] * (_TRIES - 1) + [True]:
        for future in [pool.submit(put, one) for one in parts]:
            future.result()
        try:
            service.ask("POST", f"{upload}/steps/{step}")
        except PublishingError as error:
            # a platform that was started anew may have lost what it had not written yet
            if error.code != "parts_missing" or last:
                raise
        else:
            return


def _finish(service: Service, upload: str, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    tries = 0
    while True:
        state = service.ask("GET", upload)
        if state["state"] == "published":
            found: dict[str, Any] = state["cube"]
            return found
        if state["state"] == "finishing":
            progress("building", int(state["done"]), int(state["total"]))
            time.sleep(_ASK_AGAIN_S)
            continue
        tries += 1
        if tries > _TRIES:
            raise PublishingError(
                "The platform does not get the cube built.",
                "Tell the operator the time of this.",
                code="failed",
            )
        service.ask("POST", f"{upload}/finish")
