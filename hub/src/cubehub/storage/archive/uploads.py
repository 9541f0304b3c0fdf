"""Uploads in parts that were begun and not ended: no list of objects shows them, and they are paid for.

Notes
-----
obstore has no call for these two requests; they are signed here.

References
----------
Amazon S3 API, "ListMultipartUploads", "AbortMultipartUpload"; AWS, "Signature Version 4", single chunk.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import httpx

from cubehub.storage.archive.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

_UPLOAD = re.compile(r"<Upload>(.*?)</Upload>", re.DOTALL)
_KEY, _IDENT = (
    re.compile(r"<Key>(.*?)</Key>", re.DOTALL),
    re.compile(r"<UploadId>(.*?)</UploadId>", re.DOTALL),
)
_EMPTY = hashlib.sha256(b"").hexdigest()
_MOST_ROUNDS = 100
_GONE = 404


class Uploads:
    """Uploads in parts of a bucket.

    Parameters
    ----------
    bucket : str
        Its name.
    config : mapping of str to str
        ``endpoint``, ``region``, ``access_key_id``, ``secret_access_key``, ``session_token``. Without a key nothing is
        given up here, and a rule of the bucket (``AbortIncompleteMultipartUpload``) has to.
    """

    def __init__(self, bucket: str, config: Mapping[str, str]) -> None:
        self.bucket, self._config = bucket, config
        self._root = (config.get("endpoint") or f"https://s3.{config['region']}.amazonaws.com").rstrip("/")

    def give_up(self, prefix: str, *, exactly: bool = False) -> int:
        """Give up all uploads directly below a prefix, or only of a name exactly; how many there were.

        Raises
        ------
        StoreError
            The store does not answer, or not as it should.
        """
        if "access_key_id" not in self._config or "secret_access_key" not in self._config:
            return 0
        done = 0
        with httpx.Client(timeout=30) as client:
            for _ in range(_MOST_ROUNDS):
                text = self._ask(client, "GET", "", {"prefix": prefix, "uploads": ""})
                found = [
                    (key, ident)
                    for key, ident in _uploads(text)
                    if (key == prefix if exactly else "/" not in key.removeprefix(prefix))
                ]
                if not found:
                    break
                for key, ident in found:
                    self._ask(client, "DELETE", key, {"uploadId": ident})
                done += len(found)
        return done

    def _ask(self, client: httpx.Client, method: str, key: str, query: Mapping[str, str]) -> str:
        path = urlsplit(self._root).path + f"/{self.bucket}" + (f"/{quote(key)}" if key else "")
        words = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items())
        )
        url = f"{self._root}/{self.bucket}" + (f"/{quote(key)}" if key else "") + f"?{words}"
        try:
            answer = client.request(method, url, headers=self.headers(method, path, words, time.gmtime()))
        except httpx.HTTPError as error:
            raise StoreError(
                f"Cut uploads to {self.bucket} cannot be given up: the connection failed.", "Try again."
            ) from error
        if answer.is_error and answer.status_code != _GONE:
            raise StoreError(
                f"Cut uploads to {self.bucket} cannot be given up: status {answer.status_code}.",
                "The key needs s3:ListBucketMultipartUploads and s3:AbortMultipartUpload.",
            )
        return answer.text

    def headers(self, method: str, path: str, words: str, at: time.struct_time) -> dict[str, str]:
        """What signs a request without a body: for a path, and a query whose words are in order, at a time (UTC)."""
        now = time.strftime("%Y%m%dT%H%M%SZ", at)
        headers = {"host": urlsplit(self._root).netloc, "x-amz-content-sha256": _EMPTY, "x-amz-date": now}
        if token := self._config.get("session_token"):
            headers["x-amz-security-token"] = token
        names = ";".join(headers)
        told = "\n".join(f"{name}:{value}" for name, value in headers.items())
        request = f"{method}\n{path}\n{words}\n{told}\n\n{names}\n{_EMPTY}"
        scope = f"{now[:8]}/{self._config['region']}/s3/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = b"AWS4" + self._config["secret_access_key"].encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        credential = f"{self._config['access_key_id']}/{scope}"
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        )
        return headers


def _uploads(text: str) -> list[tuple[str, str]]:
    """Key and identity of each upload in an answer; stores do not agree in which order they tell them."""
    found = []
    for upload in _UPLOAD.findall(text):
        key, ident = _KEY.search(upload), _IDENT.search(upload)
        if key and ident:
            found.append((html.unescape(key[1]), html.unescape(ident[1])))
    return found
