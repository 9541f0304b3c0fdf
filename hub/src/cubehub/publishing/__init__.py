"""Publish a cube from a notebook or a terminal on the platform: `publish`, `unpublish`, `published`, `extend`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub.errors import BadInputError
from cubehub.publishing.cube import Published
from cubehub.publishing.errors import NotPublishableError, PublishingError, listed
from cubehub.publishing.progress import shown
from cubehub.publishing.sending import ChangedError, send
from cubehub.publishing.service import Service, quoted
from cubehub.publishing.structure import as_dataset, days_of, structure_of, styles_of, usual_range

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import xarray as xr

    from cubehub.publishing.osc import Osc

__all__ = [
    "NotPublishableError",
    "Published",
    "PublishingError",
    "extend",
    "listed",
    "publish",
    "published",
    "unpublish",
]


def publish(
    ds: xr.Dataset | xr.DataArray,
    name: str,
    *,
    title: str | None = None,
    description: str | None = None,
    attribution: str | None = None,
    license: str | None = None,  # noqa: A002 - as STAC and CF call it
    style: Any = None,
    access: str | Sequence[str] = "owner",
    expires: Any = None,
    osc: str | Path | Osc | None = None,
    progress: bool = True,
) -> Published:
    """Publish a cube: it is in the viewer when this returns.

    Parameters
    ----------
    ds : Dataset or DataArray
        Variables with the dimensions time (datetime64, ascending), and either latitude and longitude in degrees or y and
        x in a projection that the dataset names; rows and columns evenly spaced. Numbers of any type; whole numbers of more
        than 16 bits and float64 are kept as float32. With dask, a time is computed at a time.
    name : str
        Yours to choose; a cube of yours that has it is replaced in one go, and its address stays. Times whose values are
        those of the published cube are not sent again.
    title, description, attribution, license : str, optional
        Else those among the dataset's attributes.
    style : str or dict, optional
        A colour map of matplotlib or cmocean, or ``{"colours", "range", "scale"}``, or either by variable. Where there is
        no range, 2 and 98 % of some of the values.
    access : {'owner', 'account', 'public'} or list of str
        Who sees it: you, people with an account, everybody, or groups that you are in, such as ``/cubehub/premium``.
    expires : int, str, timedelta, date or datetime, optional
        In how many days, or when, it is taken back; else as the platform has it.
    osc : path or Osc, optional
        A folder into which records for the Open Science Catalog are written, or all that these say.
    progress : bool
        Whether a bar is shown.

    Returns
    -------
    Published
        With the permalink ``url``.

    Raises
    ------
    NotPublishableError
        The dataset cannot be a cube; the message is the list of what is wrong and what to do.
    PublishingError
        You may not, there is no room, or the platform does not answer. What was sent stays for a day: publish again.
    BadInputError
        An argument that cannot be used.
    """
    dataset = as_dataset(ds)
    days, styles = days_of(expires), styles_of(dataset, style)
    if not isinstance(access, str):
        access = [str(group) for group in access]
    elif access.startswith("/"):
        access = [access]
    elif access not in {"owner", "account", "public"}:
        raise BadInputError(
            f"access={access!r} is not known.", 'Write "owner", "account", "public" or a list of groups.'
        )
    service = Service.here()
    with shown(name, enabled=progress) as tell:
        tell("looking at the values", 0, 1)
        for variable, chosen in styles.items():
            if (
                "range" not in chosen
                and variable in dataset
                and dataset[variable].dtype.kind in "iufb"
                and dataset[variable].size
            ):
                chosen["range"] = usual_range(dataset[variable], chosen.get("scale", "lin"))
        wish: dict[str, Any] = {
            "name": name, "structure": structure_of(dataset), "style": styles, "access": access, "expires_days": days,
            "title": title or "", "description": description or "", "attribution": attribution or "", "license": license or "",
        }  # fmt: skip
        begun = service.ask("POST", "/uploads", wish)
        try:
            found = send(service, begun, dataset, tell)
        except ChangedError:
            begun = service.ask("POST", "/uploads", wish | {"anew": True})
            found = send(service, begun, dataset, tell)
    made = Published.from_json(found, begun["warnings"])
    if osc is not None:
        from cubehub.publishing.osc import as_osc, write  # noqa: PLC0415 - seldom asked for

        write(service.ask("GET", f"/cubes/{quoted(made.id)}/item"), made, as_osc(osc))
    return made


def published(*, everybody: bool = False) -> list[Published]:
    """List your published cubes, also those that are over and whose data are still there.

    Parameters
    ----------
    everybody
        All of the platform; for administrators.

    Raises
    ------
    PublishingError
        The platform refuses or does not answer.
    """
    return [Published.from_json(one) for one in listing(everybody=everybody)["cubes"]]


def listing(*, everybody: bool = False, service: Service | None = None) -> dict[str, Any]:
    """Give the platform's list of cubes, with the room there is: ``used_bytes``, ``quota_bytes``, ``max_cubes``."""
    found: dict[str, Any] = (service or Service.here()).ask("GET", f"/cubes{'?all=1' if everybody else ''}")
    return found


def unpublish(name: str, *, now: bool = False, service: Service | None = None) -> Published:
    """Take a cube back: nobody sees it any more when this returns.

    Parameters
    ----------
    name
        Of the cube, or its id.
    now
        Remove the data at once, which makes room; else the platform keeps them for some days.

    Raises
    ------
    PublishingError
        You have no such cube, or the platform does not answer.
    """
    answer = (service or Service.here()).ask("DELETE", f"/cubes/{quoted(name)}{'?now=1' if now else ''}")
    return Published.from_json(answer)


def extend(name: str, expires: Any, *, service: Service | None = None) -> Published:
    """Have a cube expire at another time.

    Parameters
    ----------
    name
        Of the cube, or its id.
    expires
        As `publish` takes it.

    Raises
    ------
    PublishingError
        You have no such cube, it was taken back, or that is longer than the platform allows.
    """
    days = days_of(expires)
    if days is None:
        raise BadInputError("It is not said how long.", "Write extend(NAME, 90) for 90 days.")
    service = service or Service.here()
    return Published.from_json(service.ask("PATCH", f"/cubes/{quoted(name)}", {"expires_days": days}))
