"""States of the viewer that people share by a link: cleaned, kept on disk, bounded."""

import hashlib
import json
import os
import re
import time
from base64 import b32encode
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xcube_cubehub.errors import BusyError, RequestError
from xcube_cubehub.shards import write_whole

MAX_STATE_BYTES = 1024 * 1024
MAX_LINKS = 10_000
MAX_TOTAL_BYTES = 512 * 1024 * 1024
MAX_VISITOR_STATE_BYTES = 256 * 1024
MAX_VISITOR_LINKS = 2000
MAX_VISITOR_TOTAL_BYTES = 64 * 1024 * 1024
"""What people without an account keep, apart from all else; what was opened least lately goes first."""
EXPIRY_DAYS = 365
"""A link that nobody opened for so long is taken away."""
MAX_PER_HOUR = 120
"""New links from one sender."""
_SENDERS = 10_000
_MAX_DEPTH = 40
_KEY = re.compile(r"[a-z2-7]{26}", re.ASCII)
DATA = ("userPlaceGroups", "timeSeriesGroups", "statistics", "datasets")
CONTROL = (
    "selectedDatasetId", "selectedVariableName", "selectedDataset2Id", "selectedVariable2Name", "selectedTime",
    "selectedTimeRange", "selectedUserPlaceId", "selectedPlaceId", "selectedPlaceGroupIds", "layerMenuOpen",
    "layerVisibilities", "sidePanelOpen", "sidePanelId", "sidePanelSize", "variableSplitPos", "variableCompareMode",
    "userColorBars", "mapProjection", "zoomLevel",
)  # fmt: skip
"""What the viewer keeps, without its base maps and overlays of other hosts: whoever opens a link would be sent there."""
VIEW = ("projection", "center", "zoom", "rotation")


def cleaned(body: bytes, most: int = MAX_STATE_BYTES) -> dict[str, Any]:
    """A state as the viewer sends it, with what it may hold and nothing else.

    Parameters
    ----------
    body : bytes
        JSON.
    most : int
        Bytes that it may have.

    Raises
    ------
    RequestError
        Too large, or no state of the viewer.
    """
    if len(body) > most:
        message = f"a state may have {most // 1024} KiB"
        hint = "take away some series or places, then share again"
        raise RequestError(message, hint if most == MAX_STATE_BYTES else f"sign in, or {hint}")
    try:
        found = json.loads(body, parse_constant=_no_constant)
        state = found["state"]
        data, control = state["dataState"], state["controlState"]
        view = (state.get("mapState") or {}).get("view") or {}
        kept: dict[str, Any] = {
            "dataState": {name: data[name] for name in DATA if isinstance(data.get(name), list | dict)},
            "controlState": {name: control[name] for name in CONTROL if name in control},
        }
        if view:
            kept["mapState"] = {"view": {name: view[name] for name in VIEW if name in view}}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError("this is not a state of the viewer", "share it from the viewer") from error
    # whatever is nested deeper than the viewer ever does is refused before anybody walks through it
    if _depth(kept) > _MAX_DEPTH:
        raise RequestError("this is not a state of the viewer", "share it from the viewer")
    return kept


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level and depth <= _MAX_DEPTH:
        depth += 1
        level = [
            part
            for one in level
            if isinstance(one, dict | list)
            for part in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


def readable(state: dict[str, Any], allowed: Callable[[str], bool]) -> dict[str, Any]:
    """A state without what it holds of cubes that its reader may not see: their names, series and statistics."""
    data = dict(state["dataState"])
    if "datasets" in data:
        data["datasets"] = [one for one in _dicts(data["datasets"]) if allowed(str(one.get("id", "")))]
    if "timeSeriesGroups" in data:
        groups = []
        for group in _dicts(data["timeSeriesGroups"]):
            series = [
                one
                for one in _dicts(group.get("timeSeriesArray"))
                if allowed(str(_dict(one.get("source")).get("datasetId", "")))
            ]
            if series:
                groups.append({**group, "timeSeriesArray": series})
        data["timeSeriesGroups"] = groups
    if "statistics" in data:
        records = data["statistics"]
        if isinstance(records, dict):
            records = records.get("records")
        kept = [one for one in _dicts(records) if allowed(_dataset_of(_dict(one.get("source"))))]
        data["statistics"] = (
            {"records": kept, "loading": False} if isinstance(data["statistics"], dict) else kept
        )
    control = dict(state["controlState"])
    for name in ("selectedDatasetId", "selectedDataset2Id"):
        if control.get(name) is not None and not allowed(str(control[name])):
            control[name] = None
    return {**state, "dataState": data, "controlState": control}


def _dataset_of(source: dict[str, Any]) -> str:
    """The cube of a record of statistics, which holds the whole of its description."""
    dataset = source.get("dataset")
    return str(dataset.get("id", "") if isinstance(dataset, dict) else dataset)


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


class Permalinks:
    """Keeps states in files.

    Parameters
    ----------
    folder : path
        Where they are kept, one file each; made when the first one is.

    Notes
    -----
    The key is a hash of what is kept. So the same state has the same link, nobody can put another state under a key,
    and nobody who does not know the state finds it.

    Nothing that a person with an account keeps makes way for something new: who fills the store keeps others from
    sharing until links expire, but no link that somebody sent is lost. Anybody can be many visitors, so what they keep
    lies in a folder of its own, small, where the newest links always have room: they cannot fill the store, and cannot
    keep each other from sharing either.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._visitors = folder / "visitors"
        self._senders: OrderedDict[str, deque[float]] = OrderedDict()
        self._used: tuple[int, int] | None = None
        self._kept: OrderedDict[str, int] | None = None

    def save(self, body: bytes, sender: str, now: float | None = None, *, visitor: bool = False) -> str:
        """Keep a state; its key, 26 letters and digits.

        Parameters
        ----------
        body : bytes
            As the viewer sends it.
        sender : str
            Whose links are counted together.
        now : float, optional
            Seconds since 1970.
        visitor : bool
            Whether the sender has no account.

        Raises
        ------
        RequestError
            It is no state of the viewer, or too large.
        BusyError
            This sender shared too much in an hour, or the store is full.
        """
        now = time.time() if now is None else now
        most = MAX_VISITOR_STATE_BYTES if visitor else MAX_STATE_BYTES
        content = json.dumps(cleaned(body, most), separators=(",", ":"), sort_keys=True).encode()
        key = b32encode(hashlib.blake2b(content, digest_size=16).digest()).decode().rstrip("=").lower()
        path = self._folder / f"{key}.json"
        if path.exists():
            os.utime(path, (now, now))
            return key
        if visitor and self._opened(key, now):
            return key
        self._count_sender(sender, now)
        if visitor:
            self._keep_for_visitor(key, content, now)
        else:
            self._keep(path, content, now)
        return key

    def load(self, key: str, now: float | None = None) -> dict[str, Any] | None:
        """A state; None if there is none under this key."""
        if not _KEY.fullmatch(key):
            return None
        now = time.time() if now is None else now
        for folder in (self._folder, self._visitors):
            try:
                path = folder / f"{key}.json"
                if path.stat().st_mtime < now - EXPIRY_DAYS * 86400:
                    continue
                found: dict[str, Any] = json.loads(path.read_bytes())
                os.utime(path, (now, now))
            except (OSError, ValueError):
                continue
            if folder is self._visitors:
                self._opened(key, now)
            return found
        return None

    def _keep(self, path: Path, content: bytes, now: float) -> None:
        count, size = self._room(now)
        if count >= MAX_LINKS or size + len(content) > MAX_TOTAL_BYTES:
            raise BusyError(
                "no more links can be kept", "ask the operator to make room, or share a plain link"
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, content)
        os.utime(path, (now, now))
        self._used = count + 1, size + len(content)

    def _of_visitors(self) -> OrderedDict[str, int]:
        """Keys of what visitors keep and the bytes, first what was opened least lately; looked up once."""
        if self._kept is None:
            found = []
            for path in self._visitors.glob("*.json") if self._visitors.is_dir() else ():
                facts = path.stat()
                found.append((facts.st_mtime, path.stem, facts.st_size))
            self._kept = OrderedDict((key, size) for _, key, size in sorted(found))
        return self._kept

    def _opened(self, key: str, now: float) -> bool:
        """Whether visitors keep a state under this key; it goes last then."""
        kept = self._of_visitors()
        if key not in kept:
            return False
        try:
            os.utime(self._visitors / f"{key}.json", (now, now))
        except OSError:  # the operator took it away
            del kept[key]
            return False
        kept.move_to_end(key)
        return True

    def _keep_for_visitor(self, key: str, content: bytes, now: float) -> None:
        kept = self._of_visitors()
        total = sum(kept.values()) + len(content)
        while kept and (len(kept) >= MAX_VISITOR_LINKS or total > MAX_VISITOR_TOTAL_BYTES):
            oldest, size = kept.popitem(last=False)
            (self._visitors / f"{oldest}.json").unlink(missing_ok=True)
            total -= size
        self._visitors.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._visitors / f"{key}.json"
        write_whole(path, content)
        os.utime(path, (now, now))
        kept[key] = len(content)

    def _count_sender(self, sender: str, now: float) -> None:
        times = self._senders.setdefault(sender, deque())
        self._senders.move_to_end(sender)
        while times and times[0] < now - 3600:
            times.popleft()
        if len(times) >= MAX_PER_HOUR:
            raise BusyError("too many links were made from here", "try again in an hour")
        times.append(now)
        while len(self._senders) > _SENDERS:
            self._senders.popitem(last=False)

    def _room(self, now: float) -> tuple[int, int]:
        """How many links there are and their bytes; counted once, and again when full, without what has expired."""
        if (
            self._used is None
            or self._used[0] >= MAX_LINKS
            or self._used[1] >= MAX_TOTAL_BYTES - MAX_STATE_BYTES
        ):
            count = size = 0
            for path in self._folder.glob("*.json") if self._folder.is_dir() else ():
                facts = path.stat()
                if facts.st_mtime < now - EXPIRY_DAYS * 86400:
                    path.unlink(missing_ok=True)
                else:
                    count, size = count + 1, size + facts.st_size
            self._used = count, size
        return self._used
