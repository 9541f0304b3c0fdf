"""Names that mean something else to somebody, lines of plans that lead elsewhere, and names that are taken."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError
from cubehub.storage import planning
from cubehub.storage.grounds import FOLDER
from cubehub.storage.journal import QUARANTINED, RETURNED
from world import ANA, World

if TYPE_CHECKING:
    from collections.abc import Callable


def named(w: World, name: bytes) -> str:
    """A cache in a folder of a strange name, by way of a plan in text."""
    folder = os.fsencode(w.ana) + b"/" + name + b"/.Trash"
    os.makedirs(folder + b"/" + name)  # noqa: PTH103 - bytes
    with open(folder + b"/" + name + b"/" + name, "wb"):  # noqa: PTH123 - bytes
        pass
    w.give(w.ana)
    text = planning.write([w.entry(name + b"/.Trash")], ["plan"])
    (read,) = planning.read(text, "plan")
    assert read.path == name + b"/.Trash"
    return w.round(read.path)


def plan_line(w: World, home: str, path: str) -> str:
    text = planning.write([w.entry()], []).splitlines()
    cells = text[1].split(",")
    cells[:2] = [home, path]
    try:
        planning.read("\n".join([text[0], ",".join(cells)]), "plan")
    except CubeHubError as error:
        return f"refused: {error}"
    raise AssertionError("the line was taken")


def told_to_the_keeper(w: World, home: bytes, path: bytes) -> str:
    """The same past the reader of plans: the keeper itself does not go there."""
    assert not w.away().why  # there is a slot in quarantine
    at = os.fsencode(w.homes) + b"/" + home + b"/" + path
    before = os.stat(at).st_ino if os.path.exists(at) else 0  # noqa: PTH116, PTH110 - bytes
    done = w.away(path, home=home, inode=before)
    assert done.why, "it was moved"
    assert not w.back()[0].why
    return done.why


def quarantine_made_before(w: World, kind: str) -> str:
    at = w.homes / os.fsdecode(FOLDER)
    if kind == "link":
        at.symlink_to(w.outside)
    elif kind == "open":
        at.mkdir()
    elif kind == "foreign":
        at.mkdir(mode=0o700)
        os.chown(at, ANA, ANA)
    else:
        at.write_text("x")
    try:
        w.away()
    except CubeHubError as error:
        return f"refused: {error}"
    raise AssertionError("it was used")


def restored_names_taken(w: World, most: int) -> str:
    assert not w.away().why
    for name in ("pip", *(f"pip.restored-{n}" for n in range(1, most))):
        (w.ana / ".cache" / name).mkdir()
    (back,) = w.back()
    if back.why:
        assert w.states() == [QUARANTINED]
    return back.why or os.fsdecode(back.path)


def longest_name_taken(w: World) -> str:
    path = b".cache/" + b"n" * 255
    w.pip.rename(os.fsdecode(os.fsencode(w.ana) + b"/" + path))
    assert not w.away(path).why
    (w.ana / os.fsdecode(path)).mkdir()
    (back,) = w.back()
    ending = b".restored-1"
    assert not back.why
    assert back.path == path[: -len(ending)] + ending
    assert w.states() == [RETURNED]
    return f"comes back under a name of {len(back.path.rpartition(b'/')[2])} bytes"


NAMES = {
    "newline": b"new\nline\r\n", "invalid UTF-8": b"\xff\xfe\x80", "escape codes": b"\x1b[2J\x07", "255 bytes": b"n" * 255,
    "an option": b"-rf", "a formula": b"=cmd|'calc'!A0", "percent": b"%2E%2E", "quotes": b"a\"b,c'd", "turned around": "\u202etxt".encode(),
    "spaces": b"  ", "decomposed": "e\u0301".encode(),
}  # fmt: skip
LINES = {
    "another home by ..": ("../ben", ".cache/pip"), "home ..": ("..", "outside"), "home .": (".", "ben/.cache"), "home in percent": ("%2E%2E", "outside/pip"),
    "no home": ("", "x"), "quarantine": (".cubehub-quarantine", "1/item"), "up and down": ("ana", "../ben/.cache/pip"), "in the middle": ("ana", "a/../../ben"),
    "absolute": ("ana", "/etc"), "slashes": ("ana", ".cache//pip"), "point": ("ana", "./.cache"), "zero byte": ("ana", ".cache%00/pip"), "percent": ("ana", "%2E%2E/ben"),
}  # fmt: skip
TOLD = {
    "home ..": (b"..", b"outside/pip"), "another home by ..": (b"ana/../ben", b".cache/pip"), "quarantine": (FOLDER, b"1"),
    "quarantine's item": (FOLDER, b"1/item"), "path up": (b"ana", b"../ben/pip"), "path up at its end": (b"ana", b".cache/.."),
    "absolute": (b"ana", b"/tmp"), "empty part": (b"ana", b".cache/"), "home with a slash": (b"ben/.cache", b"pip"),
}  # fmt: skip
NAMED: dict[str, Callable[[World], str]] = {
    f"name: {k}": lambda w, n=n: named(w, n) for k, n in NAMES.items()
}  # type: ignore[misc]
NAMED |= {f"plan: {k}": lambda w, c=c: plan_line(w, *c) for k, c in LINES.items()}  # type: ignore[misc]
NAMED |= {f"keeper told: {k}": lambda w, c=c: told_to_the_keeper(w, *c) for k, c in TOLD.items()}  # type: ignore[misc]
NAMED |= {
    f"quarantine is {k}": lambda w, k=k: quarantine_made_before(w, k)
    for k in ("link", "open", "foreign", "file")
}  # type: ignore[misc]
NAMED |= {f"restored names taken: {n}": lambda w, n=n: restored_names_taken(w, n) for n in (4, 100)}  # type: ignore[misc]
NAMED["longest name taken"] = longest_name_taken
