"""Uploads in parts, which a bucket keeps until they are brought to their end or given up: begun, gone on with, ended.

Notes
-----
obstore uploads in parts, but neither lists them nor goes on with one: so these requests are made and signed here. No list
of objects shows an upload that was not ended, and it is paid for.

References
----------
Amazon S3 API, "CreateMultipartUpload", "UploadPart", "ListParts", "CompleteMultipartUpload", "ListMultipartUploads",
"AbortMultipartUpload"; AWS, "Signature Version 4", single chunk.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

import httpx

from cubehub.storage.archive.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

_UPLOAD = re.compile(r"<Upload>(.*?)</Upload>", re.DOTALL)
_KEPT_PART = re.compile(r"<Part>(.*?)</Part>", re.DOTALL)
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_EMPTY = hashlib.sha256(b"").hexdigest()
_MOST_ROUNDS = 100
_GONE = 404
_AGAIN = frozenset({408, 429, 500, 502, 503, 504, 507, 509})
"""Answers after which the same may succeed a little later."""
_GIVEN_UP = "given up"
_TIDYING_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 15.0
KEPT_S = 7 * 86400.0
"""For so long after its beginning a cut upload is gone on with; then it is given up, so that nobody pays for ever."""
HINT = "Look at the bucket and its credentials (AWS_… in the environment), then try again."


class Part(NamedTuple):
    """A part that the bucket has."""

    bytes: int
    tag: str
    """Its ETag without quotes: the MD5 of its content, but in buckets that encrypt with keys of their own."""


class Uploads:
    """Uploads in parts of a bucket.

    Parameters
    ----------
    bucket : str
        Its name.
    config : mapping of str to str
        ``endpoint``, ``region``, ``access_key_id``, ``secret_access_key``, ``session_token``. Without a key nothing can be
        asked for here.
    patience_s : float
        For how long a request that fails is tried again, in seconds.
    timeout_s : float
        For one try, in seconds.
    """

    def __init__(
        self, bucket: str, config: Mapping[str, str], *, patience_s: float = 180, timeout_s: float = 300
    ) -> None:
        self.bucket, self._config = bucket, config
        self._patience_s, self._timeout_s = patience_s, timeout_s
        self._root = (config.get("endpoint") or f"https://s3.{config['region']}.amazonaws.com").rstrip("/")
        self._client = httpx.Client()

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    @property
    def signs(self) -> bool:
        """Whether there is a key to sign with; a role has none in the environment."""
        return "access_key_id" in self._config and "secret_access_key" in self._config

    # One upload

    def begin(self, key: str) -> str:
        """Begin an upload; its identity."""
        found = _field(self._ask("POST", key, {"uploads": ""}, "uploaded"), "UploadId")
        if not found:
            raise self._failed(key, "uploaded", "the answer names no upload")
        return found

    def send(self, key: str, ident: str, number: int, data: bytes) -> str:
        """Send a part; its ETag."""
        words = {"partNumber": str(number), "uploadId": ident}
        answer = self._answer("PUT", key, words, "uploaded", data)
        tag = str(answer.headers.get("etag", "")).strip('"')
        if not tag:
            raise self._failed(key, "uploaded", "a part has no ETag")
        return tag

    def parts(self, key: str, ident: str, *, page: int = 1000) -> dict[int, Part]:
        """All parts that an upload has, by their numbers."""
        found: dict[int, Part] = {}
        after = "0"
        for _ in range(_MOST_ROUNDS):
            words = {"uploadId": ident, "max-parts": str(page), "part-number-marker": after}
            text = self._ask("GET", key, words, "gone on with")
            for part in _KEPT_PART.findall(text):
                number, size = _field(part, "PartNumber"), _field(part, "Size")
                if number.isdigit() and size.isdigit():
                    found[int(number)] = Part(int(size), _field(part, "ETag").strip('"'))
            after = _field(text, "NextPartNumberMarker")
            if _field(text, "IsTruncated") != "true" or not after.isdigit():
                break
        return found

    def end(self, key: str, ident: str, tags: Sequence[str]) -> None:
        """Make an object of an upload's parts, of which the first has the number 1."""
        lines = (
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{html.escape(tag)}&quot;</ETag></Part>"
            for number, tag in enumerate(tags, 1)
        )
        text = f"<CompleteMultipartUpload>{''.join(lines)}</CompleteMultipartUpload>"
        # a store that takes long says "200 OK" first, and then what went wrong
        answer = self._ask("POST", key, {"uploadId": ident}, "uploaded", text.encode())
        if code := _CODE.search(answer):
            raise self._failed(key, "uploaded", code[1])

    def newest(self, key: str, at: float) -> str | None:
        """The newest upload of a name that is young enough to be gone on with; the others of that name are given up."""
        found = [one for one in self._all(key) if one[0] == key and at - one[2] < KEPT_S]
        found.sort(key=lambda one: one[2])
        ident = found[-1][1] if found else None
        self.give_up(key, exactly=True, but=() if ident is None else (ident,))
        return ident

    # All of them

    def give_up(
        self, prefix: str, *, exactly: bool = False, but: Container[str] = (), keep: Container[str] = (), at: float = 0
    ) -> int:  # fmt: skip
        """Give up all uploads directly below a prefix, or only of a name exactly; how many there were.

        Parameters
        ----------
        but : container of str
            Identities of those that stay.
        keep : container of str
            Names of which the young ones stay, to be gone on with.
        at : float
            Now, seconds since 1970; tells which are young.

        Raises
        ------
        StoreError
            The store does not answer, or not as it should.
        """
        if not self.signs:
            return 0
        done = 0
        for _ in range(_MOST_ROUNDS):
            found = [
                (key, ident)
                for key, ident, began in self._all(prefix)
                if (key == prefix if exactly else "/" not in key.removeprefix(prefix))
                and ident not in but
                and not (key in keep and at - began < KEPT_S)
            ]
            for key, ident in found:
                self._ask("DELETE", key, {"uploadId": ident}, _GIVEN_UP)
            done += len(found)
            if not found:
                break
        return done

    def _all(self, prefix: str) -> list[tuple[str, str, float]]:
        """Name, identity and beginning of the uploads below a prefix."""
        found = []
        words = {"prefix": prefix, "uploads": ""}
        for _ in range(_MOST_ROUNDS):
            text = self._ask("GET", "", words, _GIVEN_UP)
            for upload in _UPLOAD.findall(text):
                # stores do not agree in which order they tell them
                key, ident = _field(upload, "Key"), _field(upload, "UploadId")
                if key and ident:
                    found.append((key, ident, _seconds(_field(upload, "Initiated"))))
            key, ident = _field(text, "NextKeyMarker"), _field(text, "NextUploadIdMarker")
            if _field(text, "IsTruncated") != "true" or not key:
                break
            words |= {"key-marker": key} | ({"upload-id-marker": ident} if ident else {})
        return found

    # Requests

    def _ask(self, method: str, key: str, query: Mapping[str, str], what: str, body: bytes = b"") -> str:
        return self._answer(method, key, query, what, body).text

    def _answer(
        self, method: str, key: str, query: Mapping[str, str], what: str, body: bytes = b""
    ) -> httpx.Response:
        """Ask until there is an answer that lasts, or patience is over."""
        # whoever tidies up is waited for by others, and it is done again later
        tidying = what == _GIVEN_UP
        until = time.monotonic() + min(self._patience_s, _TIDYING_S if tidying else self._patience_s)
        pause = _FIRST_PAUSE_S
        sha256 = hashlib.sha256(body).hexdigest()
        while True:
            try:
                answer = self._once(
                    method, key, query, body, sha256, _TIDYING_S if tidying else self._timeout_s
                )
            except httpx.HTTPError as error:
                slow = isinstance(error, httpx.TimeoutException)
                why = "no answer in time" if slow else "the connection failed"
                cause: Exception | None = error
            else:
                # what is to be given up may be gone already
                if not answer.is_error or (answer.status_code == _GONE and method == "DELETE"):
                    return answer
                code = _CODE.search(answer.text)
                why, cause = f"status {answer.status_code}{', ' + code[1] if code else ''}", None
                if answer.status_code not in _AGAIN:
                    raise self._failed(key, what, why)
            if time.monotonic() + pause > until:
                raise self._failed(key, what, why) from cause
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _once(
        self, method: str, key: str, query: Mapping[str, str], body: bytes, sha256: str, timeout_s: float
    ) -> httpx.Response:
        path = urlsplit(self._root).path + f"/{self.bucket}" + (f"/{quote(key)}" if key else "")
        words = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items())
        )
        url = f"{self._root}/{self.bucket}" + (f"/{quote(key)}" if key else "") + f"?{words}"
        headers = self.headers(method, path, words, time.gmtime(), sha256)
        timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, 10))
        return self._client.request(method, url, headers=headers, content=body, timeout=timeout)

    def _failed(self, key: str, what: str, why: str) -> StoreError:
        where = f"s3://{self.bucket}/{key}" if key else f"Cut uploads to {self.bucket}"
        hint = HINT if key else "The key needs s3:ListBucketMultipartUploads and s3:AbortMultipartUpload."
        return StoreError(f"{where} cannot be {what}: {why}.", hint)

    def headers(
        self, method: str, path: str, words: str, at: time.struct_time, sha256: str = _EMPTY
    ) -> dict[str, str]:
        """What signs a request: for a path, a query whose words are in order, a time (UTC), and what its body sums up to."""
        now = time.strftime("%Y%m%dT%H%M%SZ", at)
        headers = {"host": urlsplit(self._root).netloc, "x-amz-content-sha256": sha256, "x-amz-date": now}
        if token := self._config.get("session_token"):
            headers["x-amz-security-token"] = token
        names = ";".join(headers)
        told = "\n".join(f"{name}:{value}" for name, value in headers.items())
        request = f"{method}\n{path}\n{words}\n{told}\n\n{names}\n{sha256}"
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


def _field(text: str, name: str) -> str:
    """The first element of a name in an answer; empty if there is none."""
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def _seconds(text: str) -> float:
    """When an upload began, seconds since 1970; what cannot be read is of long ago."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
