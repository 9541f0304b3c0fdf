"""Where archives are kept: whole under their name or not there at all, whatever the disk, the wire and the store do."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cubehub.errors import BadInputError
from cubehub.storage.archive import Seal, StoreError, opened, pack, unpack, verify
from cubehub.storage.archive.bucket import BucketStore
from cubehub.storage.archive.uploads import Uploads
from cubehub_tests.archives import everything, rich_tree
from cubehub_tests.buckets import BUCKET, S3, SECRET, running_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cubehub.storage.archive import Store

pytestmark = pytest.mark.slow

PART = 5 << 20
LARGE = os.urandom(1 << 16) * 200
"""13 MB: three parts."""
ADDRESS = f"s3://{BUCKET}/kept"


@pytest.fixture(scope="module")
def running() -> Iterator[S3]:
    with running_s3() as found:
        yield found


@pytest.fixture
def s3(running: S3) -> S3:
    running.empty()
    return running


def bucket(s3: S3, patience_s: float = 20) -> BucketStore:
    return BucketStore(ADDRESS, s3.environment, part_bytes=PART, patience_s=patience_s)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path, s3: S3) -> Iterator[Store]:
    made = opened(tmp_path / "kept") if request.param == "folder" else bucket(s3)
    yield made
    made.close()


def write(store: Store, name: str, data: bytes) -> None:
    with store.put(name, expected=len(data)) as sink:
        for at in range(0, len(data), 100_000):
            sink.write(data[at : at + 100_000])


def begin(store: Store, data: bytes) -> None:
    """Write something that is to be gone on with where the store fails."""
    with store.put("1", expected=len(data), resume=True) as sink:
        sink.write(data)


def sent(s3: S3) -> list[int]:
    """Numbers of the parts that went over the wire."""
    found = [re.search(r"partNumber=(\d+)", path) for method, path in s3.wire.seen if method == "PUT"]
    return sorted(int(one[1]) for one in found if one)


def read(store: Store, name: str) -> bytes:
    found = b""
    with store.open(name) as source:
        while data := source.read(1 << 20):
            found += data
    return found


# Both


@pytest.mark.parametrize("size", [0, 5, PART, PART + 1, len(LARGE)])
def test_what_is_put_is_read(store: Store, size: int) -> None:
    write(store, "1.tar.zst", LARGE[:size])
    assert read(store, "1.tar.zst") == LARGE[:size]
    assert [(found.name, found.bytes) for found in store.list()] == [("1.tar.zst", size)]
    assert store.exists("1.tar.zst")
    assert not store.exists("1.tar")
    assert (store.bytes_of("1.tar.zst"), store.bytes_of("1.tar")) == (size, None)
    store.delete("1.tar.zst")
    store.delete("1.tar.zst")
    assert not list(store.list())


@pytest.mark.parametrize("size", [5, len(LARGE)])
def test_an_error_meanwhile_leaves_nothing(store: Store, s3: S3, size: int) -> None:
    def fail() -> None:
        with store.put("1") as sink:
            sink.write(LARGE[:size])
            raise KeyError(size)

    with pytest.raises(KeyError):
        fail()
    assert not list(store.list())
    assert (s3.uploads(), store.sweep()) == (set(), 0)


def test_nothing_is_put_over_something(store: Store) -> None:
    write(store, "1", b"old")
    for size in (3, len(LARGE)):
        with pytest.raises(StoreError, match="there already"):
            write(store, "1", LARGE[:size])
    assert read(store, "1") == b"old"


@pytest.mark.parametrize("name", ["", "..", ".cut-1", "a/b", "/etc/passwd", "a\n", "ä", "x" * 300])
def test_names_are_plain(store: Store, name: str) -> None:
    for call in (
        store.exists,
        store.bytes_of,
        store.delete,
        lambda name: write(store, name, b""),
        lambda name: read(store, name),
    ):
        with pytest.raises(BadInputError, match="no name"):
            call(name)


def test_what_is_not_there_is_told(store: Store) -> None:
    with pytest.raises(StoreError, match=r"No such file|there is none"):
        read(store, "1")


def test_the_whole_way(store: Store, tmp_path: Path) -> None:
    top = rich_tree(tmp_path)
    slot, to = os.open(top.parent, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    with store.put("7.tar.zst") as sink, store.put("7.jsonl.zst") as listing:
        packed = pack(slot, b"item", sink, listing)
    with store.open("7.tar.zst") as source, store.open("7.jsonl.zst") as listing:
        verify(source, listing, packed.seal)
    with store.open("7.tar.zst") as source, store.open("7.jsonl.zst") as listing:
        unpack(source, listing, to, seal=packed.seal)
    assert everything(tmp_path / "item") == everything(top)
    os.close(slot)
    os.close(to)


def test_a_kill_leaves_what_a_sweep_removes(store: Store, s3: S3) -> None:
    program = (
        "import os, sys, time\n"
        "from cubehub.storage.archive import opened\n"
        "from cubehub.storage.archive.bucket import BucketStore\n"
        "where = sys.argv[1]\n"
        "store = BucketStore(where, os.environ, part_bytes=5 << 20) if where.startswith('s3') else opened(where)\n"
        "with store.put('1') as sink:\n"
        "    sink.write(b'x' * (12 << 20))\n"
        "    time.sleep(1)\n"
        "    os._exit(9)\n"
    )
    where = ADDRESS if isinstance(store, BucketStore) else str(store._path)  # type: ignore[attr-defined]
    ended = subprocess.run(
        [sys.executable, "-c", program, where], env={**os.environ, **s3.environment}, check=False
    )
    assert ended.returncode == 9
    assert not list(store.list())
    assert store.sweep() == 1
    assert store.sweep() == 0
    write(store, "1", b"again")


# Folders


def test_kills_at_any_instant_leave_no_half_archive(tmp_path: Path) -> None:
    top = rich_tree(tmp_path)
    (top / "more").write_bytes(LARGE)
    kept, rng = tmp_path / "kept", random.Random(7)  # noqa: S311 - no secret
    store = opened(kept)
    began, took = time.monotonic(), 0.0
    whole = 0
    for run in range(40):
        if not (child := os.fork()):
            slot = os.open(top.parent, os.O_RDONLY)
            with store.put("1.tar.zst") as sink, store.put("1.jsonl.zst") as listing:
                pack(slot, b"item", sink, listing)
            os._exit(0)
        if run:
            time.sleep(rng.random() * 1.3 * took)
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        took = took or time.monotonic() - began
        found = {kept_.name for kept_ in store.list()}
        if "1.tar.zst" in found:
            whole += 1
            seal = Seal(
                *(
                    hashlib.sha256((kept / name).read_bytes()).hexdigest()
                    for name in ("1.tar.zst", "1.jsonl.zst")
                )
            )
            with store.open("1.tar.zst") as source, store.open("1.jsonl.zst") as listing:
                verify(source, listing, seal)
        for name in found:
            store.delete(name)
        store.sweep()
        assert list(kept.iterdir()) == []
    assert whole


def test_a_new_folder_is_on_the_disk_before_anything_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    opened(tmp_path / "new").close()
    assert synced == [tmp_path.stat().st_ino]
    opened(tmp_path / "new").close()
    assert len(synced) == 1, "only when it is made"


def test_a_folder_that_others_get_into_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(BadInputError, match="Others than the keeper"):
        opened(tmp_path)
    with pytest.raises(BadInputError, match="No such file"):
        opened(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="Not a directory"):
        opened(tmp_path / "file")


@pytest.mark.needs("root")
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    program = (
        "import os, sys\n"
        "from cubehub.storage.archive import StoreError, opened\n"
        "store = opened(sys.argv[1])\n"
        "for expected in (0, 5_000_000):\n"
        "    try:\n"
        "        with store.put('1', expected=expected) as sink:\n"
        "            for _ in range(50):\n"
        "                sink.write(b'x' * 100_000)\n"
        "    except StoreError as error: print(str(error).rpartition('/')[2], error.hint, os.listdir(sys.argv[1]))\n"
        "with store.put('2') as sink: sink.write(b'x')\n"
        "print(os.listdir(sys.argv[1]))"
    )
    script = 'mount -t tmpfs -o size=2m,mode=700 tmpfs "$1/kept" && exec "$2" -c "$3" "$1/kept"'
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, program],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    full = "1: No space left on device. Make room there, then try again. []"
    assert ended.stdout.splitlines() == [full, full, "['2']"], ended.stderr


# Buckets


class Breaking:
    """Breaks what fits, so many times."""

    def __init__(
        self, what: float | str, method: str, part: str, times: int = 1_000_000, after: int = 0
    ) -> None:
        self.what, self.method, self.part, self.times, self.after = what, method, part, times, after

    def __call__(self, method: str, path: str) -> int | float | str | None:
        if method != self.method or self.part not in path:
            return None
        if self.after:
            self.after -= 1
            return None
        self.times -= 1
        return self.what if self.times >= 0 else None


@pytest.mark.parametrize(
    "trouble",
    [
        (503, "PUT", "partNumber", 3), (500, "PUT", "partNumber=2", 2), ("cut", "PUT", "partNumber", 3),
        ("cut after", "PUT", "partNumber", 2), (503, "POST", "uploads", 2), (503, "POST", "uploadId", 2),
        ("cut after", "POST", "uploadId", 1), (0.5, "PUT", "partNumber", 2), (503, "HEAD", "", 2), ("cut", "HEAD", "", 2),
    ],
    ids=str,
)  # fmt: skip
def test_what_breaks_for_a_while_is_done_again(s3: S3, trouble: tuple) -> None:
    store = bucket(s3)
    s3.wire.trouble = broken = Breaking(*trouble)
    write(store, "1", LARGE)
    assert broken.times < trouble[3]
    assert read(store, "1") == LARGE
    assert (s3.keys(), s3.uploads()) == ({"kept/1"}, set())


@pytest.mark.parametrize(
    "trouble",
    [
        (500, "PUT", "partNumber"), ("cut", "PUT", "partNumber"), (503, "PUT", "partNumber=3"),
        ("etag", "PUT", "partNumber=2"), (500, "POST", "uploads"), (500, "POST", "uploadId"),
        ("cut", "POST", "uploadId"), (507, "PUT", "partNumber=2"), (403, "PUT", "partNumber=2"),
        (4.0, "PUT", "partNumber=2"),
    ],
    ids=str,
)  # fmt: skip
def test_what_stays_broken_leaves_nothing(s3: S3, trouble: tuple) -> None:
    store = BucketStore(ADDRESS, s3.environment, part_bytes=PART, patience_s=1, timeout_s=3)
    s3.wire.trouble = broken = Breaking(*trouble)
    with pytest.raises(StoreError) as told:
        write(store, "1", LARGE)
    assert broken.times < 1_000_000
    assert f"{ADDRESS}/1 cannot be uploaded" in str(told.value)
    assert SECRET not in repr(told.value) + told.value.hint
    assert (s3.keys(), s3.uploads()) == (set(), set())
    s3.empty()
    write(store, "1", LARGE)
    assert read(store, "1") == LARGE


def test_what_cannot_even_be_given_up_is_swept_later(s3: S3) -> None:
    store = bucket(s3, patience_s=1)
    s3.wire.trouble = lambda method, path: 500 if method == "DELETE" or "partNumber=2" in path else None
    with pytest.raises(StoreError):
        write(store, "1", LARGE)
    assert (s3.keys(), s3.uploads()) == (set(), {"kept/1"})
    with pytest.raises(StoreError, match="status 500"):
        store.sweep()
    s3.wire.trouble = lambda _method, _path: None
    assert (store.sweep(), s3.uploads()) == (1, set())


def cut_off(s3: S3, part: int) -> None:
    """Break an upload for good at a part."""
    s3.wire.trouble = lambda method, path: 500 if method == "PUT" and f"partNumber={part}" in path else None
    with pytest.raises(StoreError, match="cannot be uploaded"):
        begin(bucket(s3, patience_s=0.3), LARGE)
    s3.wire.trouble = lambda _method, _path: None
    assert (s3.keys(), s3.uploads()) == (set(), {"kept/1"})
    s3.wire.seen.clear()


@pytest.mark.parametrize("part", [2, 3])
def test_a_cut_upload_goes_on_from_the_parts_that_are_there(s3: S3, part: int) -> None:
    cut_off(s3, part)
    there = {p["PartNumber"] for p in parts(s3)}
    assert part not in there
    begin(bucket(s3), LARGE)
    assert sent(s3) == sorted({1, 2, 3} - there)
    assert 1 in there
    assert read(bucket(s3), "1") == LARGE
    assert (s3.keys(), s3.uploads()) == ({"kept/1"}, set())


def parts(s3: S3) -> list[dict]:
    (upload,) = s3.direct.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    found: list[dict] = s3.direct.list_parts(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])[
        "Parts"
    ]
    return found


def test_what_is_another_by_now_is_sent_and_no_part_of_the_earlier_stays(s3: S3) -> None:
    cut_off(s3, 3)
    other = LARGE[:PART] + bytes(PART // 2)
    begin(bucket(s3), other)
    assert sent(s3) == [2]
    assert read(bucket(s3), "1") == other
    assert s3.uploads() == set()


def test_a_kill_is_gone_on_from_too(s3: S3) -> None:
    program = (
        "import os\n"
        "from cubehub.storage.archive.bucket import BucketStore\n"
        f"store = BucketStore({ADDRESS!r}, os.environ, part_bytes=5 << 20)\n"
        "with store.put('1', resume=True) as sink:\n"
        "    sink.write(b'x' * (12 << 20))\n"
        "    for one in sink._parts._coming: one.result()\n"
        "    os._exit(9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], env={**os.environ, **s3.environment}, check=False)
    assert ended.returncode == 9
    s3.wire.seen.clear()
    begin(bucket(s3), b"x" * (12 << 20))
    assert sent(s3) == [3]
    assert (s3.keys(), s3.uploads()) == ({"kept/1"}, set())


def test_what_will_be_gone_on_with_stays_for_some_days(s3: S3) -> None:
    cut_off(s3, 2)
    store = bucket(s3)
    assert (store.sweep({"1", "2"}), s3.uploads()) == (0, {"kept/1"})
    later = time.time() + 8 * 86400
    assert store.uploads.newest("kept/1", time.time())
    assert store.uploads.give_up("kept/", keep={"kept/1"}, at=later) == 1
    assert s3.uploads() == set()
    cut_off(s3, 2)
    assert (store.sweep({"2"}), s3.uploads()) == (1, set()), "nobody will write it any more"


def test_what_an_error_of_another_kind_ends_is_given_up(s3: S3) -> None:
    def fail() -> None:
        with bucket(s3).put("1", resume=True) as sink:
            sink.write(LARGE)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (s3.keys(), s3.uploads()) == (set(), set())


def test_an_upload_that_cannot_be_listed_is_sent_as_a_whole(s3: S3) -> None:
    cut_off(s3, 3)
    s3.wire.trouble = lambda method, path: 403 if method == "GET" and "uploads" in path else None
    begin(bucket(s3), LARGE)
    assert sent(s3) == [1, 2, 3]
    s3.wire.trouble = lambda _method, _path: None
    assert read(bucket(s3), "1") == LARGE


def test_a_beginning_that_was_not_answered_leaves_nothing(s3: S3) -> None:
    s3.wire.trouble = Breaking("cut after", "POST", "uploads", times=1)
    begin(bucket(s3), LARGE)
    assert (s3.keys(), s3.uploads()) == ({"kept/1"}, set())


def test_parts_are_told_page_by_page(s3: S3) -> None:
    cut_off(s3, 3)
    uploads = bucket(s3).uploads
    ident = uploads.newest("kept/1", time.time())
    assert ident is not None
    found = uploads.parts("kept/1", ident, page=1)
    assert {number: one.bytes for number, one in found.items()} == {1: PART, 2: PART}
    assert found[1].tag == hashlib.md5(LARGE[:PART], usedforsecurity=False).hexdigest()


def answering(*texts: str) -> Uploads:
    """Uploads of a store that gives these answers."""
    left = list(texts)
    config = {"endpoint": "http://store", "region": "r", "access_key_id": "k", "secret_access_key": SECRET}
    uploads = Uploads("b", config, patience_s=0)
    uploads._client.close()
    uploads._client = httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, text=left.pop(0)))
    )
    return uploads


def test_uploads_are_told_page_by_page() -> None:
    one = "<Upload><UploadId>{}</UploadId><Key>kept/1</Key><Initiated>2026-01-01T00:00:0{}Z</Initiated></Upload>"
    more = "<IsTruncated>true</IsTruncated><NextKeyMarker>kept/1</NextKeyMarker>"
    uploads = answering(one.format("a", 1) + more, one.format("b", 2))
    assert [found[1] for found in uploads._all("kept/")] == ["a", "b"]


def test_an_end_that_fails_after_it_was_told_as_good_is_a_failure() -> None:
    with pytest.raises(StoreError, match="InternalError"):
        answering("<Error><Code>InternalError</Code></Error>").end("1", "i", ["tag"])


def test_a_role_without_a_key_uploads_in_parts_too(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Uploads, "signs", False)
    store = bucket(s3, patience_s=1)
    s3.wire.trouble = lambda method, path: 500 if method == "PUT" and "partNumber=2" in path else None
    with pytest.raises(StoreError, match="cannot be uploaded"):
        begin(store, LARGE)
    s3.wire.trouble = lambda _method, _path: None
    assert s3.keys() == set()
    begin(store, LARGE)
    assert read(store, "1") == LARGE


def test_uploads_of_others_stay(s3: S3) -> None:
    s3.direct.create_multipart_upload(Bucket=BUCKET, Key="other/1")
    assert bucket(s3).sweep() == 0
    assert s3.uploads() == {"other/1"}


@pytest.mark.parametrize("what", ["cut", "half", 503])
def test_reading_goes_on_where_it_broke(s3: S3, what: int | str) -> None:
    store = bucket(s3)
    write(store, "1", LARGE)
    s3.wire.trouble = Breaking(what, "GET", "", times=2, after=1)
    assert read(store, "1") == LARGE


@pytest.mark.parametrize("what", ["cut", "half", 500, 403])
def test_reading_that_stays_broken_is_told(s3: S3, what: int | str) -> None:
    store = bucket(s3, patience_s=1)
    write(store, "1", LARGE)
    s3.wire.trouble = Breaking(what, "GET", "", after=1)
    with pytest.raises(StoreError, match="cannot be read"):
        read(store, "1")


def test_an_object_that_is_exchanged_while_it_is_read_is_told(s3: S3) -> None:
    store = bucket(s3)
    write(store, "1", LARGE)
    with store.open("1") as source:
        source.read(1)
        s3.direct.put_object(Bucket=BUCKET, Key="kept/1", Body=bytes(len(LARGE)))
        with pytest.raises(StoreError, match="exchanged"):
            list(iter(lambda: source.read(1 << 20), b""))


def test_a_small_object_is_put_only_where_there_is_none(s3: S3) -> None:
    store = bucket(s3)

    def race() -> None:
        with store.put("1") as sink:
            sink.write(b"mine too")
            s3.direct.put_object(Bucket=BUCKET, Key="kept/1", Body=b"mine")

    with pytest.raises(StoreError, match="there is one already"):
        race()
    assert read(store, "1") == b"mine"


def test_large_archives_get_larger_parts(s3: S3) -> None:
    store = bucket(s3)
    with store.put("1", expected=9_000 * (6 << 20)) as sink:
        for _ in range(13):
            sink.write(bytes(1 << 20))
    assert sum("partNumber" in path for method, path in s3.wire.seen if method == "PUT") == 3
    assert [found.bytes for found in store.list()] == [13 << 20]


@pytest.mark.parametrize("address", ["s3://", "s3://A", "s3://b/../c", "s3://bucket//x", "https://x"])
def test_addresses_that_name_no_bucket(address: str) -> None:
    with pytest.raises(BadInputError, match="names no bucket"):
        BucketStore(address, {})


def test_a_store_that_is_away_is_told(s3: S3) -> None:
    environment = {**s3.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    store = BucketStore(ADDRESS, environment, patience_s=1)
    for call in (
        lambda: write(store, "1", b""),
        lambda: read(store, "1"),
        lambda: list(store.list()),
        store.sweep,
    ):
        with pytest.raises(StoreError, match="connection failed"):
            call()


def test_requests_are_signed_as_botocore_signs_them() -> None:
    config = {
        "endpoint": "http://store:9000",
        "region": "eu-1",
        "access_key_id": "key",
        "secret_access_key": SECRET,
        "session_token": "t",
    }
    at = time.gmtime(1_700_000_000)
    words = "prefix=kept%2F1%20%2B&uploads="
    ours = Uploads("b", config).headers("GET", "/b", words, at)
    request = AWSRequest(
        "GET", f"http://store:9000/b?{words}", headers={"x-amz-content-sha256": ours["x-amz-content-sha256"]}
    )
    request.context["timestamp"] = ours["x-amz-date"]
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    request.headers["X-Amz-Security-Token"] = "t"
    signer = S3SigV4Auth(Credentials("key", SECRET, "t"), "s3", "eu-1")
    text = signer.string_to_sign(request, signer.canonical_request(request))
    assert ours["authorization"].rpartition("=")[2] == signer.signature(text, request)
