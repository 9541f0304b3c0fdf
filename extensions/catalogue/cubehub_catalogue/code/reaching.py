"""How the bytes of an asset are reached: by HTTP, in a bucket, on disk; never with a secret in the code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cubehub_catalogue.assets import properties

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cubehub_catalogue.assets import Asset
    from cubehub_catalogue.query import Item

_PACKAGES = {
    "s3": "s3fs",
    "http": "aiohttp",
    "https": "aiohttp",
    "abfs": "adlfs",
    "az": "adlfs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
}
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?", re.ASCII)
_BUCKET_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)


def scheme(asset: Asset) -> str:
    """Give the scheme of an asset's link; empty for a path."""
    found, mark, _ = asset.href.partition("://")
    return found.lower() if mark else ""


def package(asset: Asset) -> str | None:
    """Give the package by which fsspec reads an asset."""
    return _PACKAGES.get(scheme(asset))


def bucket_of(item: Item, asset: Asset) -> dict[str, Any]:
    """Give what the storage extension says of an asset's bucket: ``endpoint``, ``requester_pays``, ``keys``.

    Notes
    -----
    Version 2 has ``storage:schemes`` in the item and ``storage:refs`` in the asset; version 1 ``storage:platform`` and
    ``storage:requester_pays`` in either (https://github.com/stac-extensions/storage).
    """
    schemes, refs = properties(item).get("storage:schemes"), asset.extra.get("storage:refs")
    found: dict[str, Any] = {}
    schemes = schemes if isinstance(schemes, dict) else {}
    for ref in refs if isinstance(refs, list) else ():
        told = schemes.get(ref) if isinstance(ref, str) else None
        if isinstance(told, dict) and (endpoint := _endpoint(told)):
            found = {"endpoint": endpoint, "requester_pays": told.get("requester_pays") is True}
            break
        if isinstance(told, dict) and told.get("requester_pays") is True:
            found = {"requester_pays": True}
            break
    if asset.extra.get("storage:requester_pays", properties(item).get("storage:requester_pays")) is True:
        found["requester_pays"] = True
    signed_in = asset.extra.get("auth:refs")
    if found.get("endpoint") or (isinstance(signed_in, list) and signed_in) or found.get("requester_pays"):
        found["keys"] = True
    return found


def gdal_options(item: Item, asset: Asset) -> dict[str, str]:
    """Give GDAL's settings for a raster in a bucket (https://gdal.org/en/stable/user/virtual_file_systems.html)."""
    if scheme(asset) != "s3":
        return {}
    bucket = bucket_of(item, asset)
    found: dict[str, str] = {}
    if bucket.get("endpoint"):
        found |= {"AWS_S3_ENDPOINT": bucket["endpoint"], "AWS_VIRTUAL_HOSTING": "FALSE"}
    if bucket.get("requester_pays"):
        found["AWS_REQUEST_PAYER"] = "requester"
    return found or ({} if bucket.get("keys") else {"AWS_NO_SIGN_REQUEST": "YES"})


def fsspec_options(item: Item, asset: Asset) -> dict[str, Any] | None:
    """Give fsspec's options for an asset; keys are taken from the environment when the cell runs."""
    kind = scheme(asset)
    if kind in {"abfs", "az"}:
        told = asset.extra.get("xarray:storage_options")
        if not isinstance(told, dict):
            kwargs = asset.extra.get("xarray:open_kwargs")
            told = kwargs.get("storage_options") if isinstance(kwargs, dict) else None
        account = told.get("account_name") if isinstance(told, dict) else None
        return (
            {"account_name": account}
            if isinstance(account, str) and _BUCKET_NAME.fullmatch(account)
            else None
        )
    if kind in {"gs", "gcs"}:
        return {"token": "anon"}
    if kind != "s3":
        return None
    bucket = bucket_of(item, asset)
    found: dict[str, Any] = {}
    if bucket.get("endpoint"):
        found["client_kwargs"] = {"endpoint_url": f"https://{bucket['endpoint']}"}
    if bucket.get("requester_pays"):
        found["requester_pays"] = True
    return found or (None if bucket.get("keys") else {"anon": True})


def keys_needed(found: Iterable[tuple[Item, Asset]]) -> str | None:
    """Say which keys the cell takes from the environment; None where it needs none."""
    hosts = {
        bucket.get("endpoint") or ""
        for item, asset in found
        if scheme(asset) == "s3" and (bucket := bucket_of(item, asset)).get("keys")
    }
    if not hosts:
        return None
    where = ", ".join(sorted(filter(None, hosts)))
    return (
        f"The files are in a bucket{f' of {where}' if where else ''}, which wants keys: set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY in the environment, not in the notebook."
    )


def _endpoint(told: Mapping[str, Any]) -> str | None:
    """Give host and port of a bucket's service that is not Amazon's own."""
    platform = told.get("platform")
    if not isinstance(platform, str) or told.get("type") == "aws-s3" or "{" in platform:
        return None
    try:
        parts = urlsplit(platform)
    except ValueError:
        return None
    host = parts.netloc if parts.scheme == "https" else ""
    return host if _HOST.fullmatch(host) and not host.endswith("amazonaws.com") else None
