"""Erasure on request, and the export of what is a person's own."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cubehub.errors import BadInputError, CubeHubError
from cubehub.local.data_folder import write_json
from cubehub.storage import beneath, journal, registered
from cubehub.storage.archive import pack
from cubehub.storage.journal import PURGING
from cubehub.storage.names import readable
from cubehub.storage.notices import record
from cubehub.storage.planning import Entry
from cubehub.storage.quarantine import Outcome
from cubehub.storage.trees import folder_in, look_through
from cubehub.storage.whose import account_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cubehub.storage.archivist import Archivist
    from cubehub.storage.keeping import Keeping
    from cubehub.storage.quarantine import Keeper

ERASURE = "erasure"
RECEIPTS = "receipts"
_PATIENCE_S = 30.0
_EVER = 2**40
"""Later than anything that a file's time says: an erasure does not ask when something was last used."""
ELSEWHERE = (
    "the account in Keycloak and in the Hub",
    "lines about the person in the audit log, which are kept for as long as the law or the house wants",
    "cubes that the person published, see `cubehub cubes published`",
    "items that the person registered in a catalogue elsewhere than in this data folder",
    "backups of the machine",
)
"""Where else there may be something of a person; an erasure here does not reach it, and says so."""
UNKNOWN_ACCOUNT = (
    "items that the person may have registered in the catalogue: no account is noted for the home"
)
GROUPS_ITEMS = "what the person wrote into items of groups, which stay without the person's name"


@dataclass
class Receipt:
    """What was erased.

    Attributes
    ----------
    removed : list of dict
        What was in the home, in quarantine and in archives: path, bytes, files, from where.
    left : list of str
        What could not be removed, and why.
    elsewhere : tuple of str
        What this does not reach.
    items_removed, items_kept : list of dict
        What the person registered in the platform's own catalogue: for themselves, which went, and for groups, which stays
        without the person's name and id.
    """

    home: str
    account: str | None
    asked_by: str
    begun: str
    ended: str = ""
    removed: list[dict[str, Any]] = field(default_factory=list)
    mails: int = 0
    left: list[str] = field(default_factory=list)
    elsewhere: tuple[str, ...] = ELSEWHERE
    items_removed: list[dict[str, Any]] = field(default_factory=list)
    items_kept: list[dict[str, Any]] = field(default_factory=list)
    file: str = ""


def begin(keeping: Keeping, keeper: Keeper, made: journal.Journal, home: bytes) -> Outcome:
    """Put a home into quarantine as a whole, to be erased after the hold.

    Raises
    ------
    BadInputError
        There is no such home.
    """
    root = os.open(keeping.settings.homes, beneath.FOLDER & ~os.O_NOFOLLOW)
    try:
        facts = beneath.look(root, home)
        with folder_in(root, home) as folder:
            found = look_through(folder)
    except FileNotFoundError as error:
        raise BadInputError(
            f"There is no home {readable(home)!r}.",
            "It may be in quarantine already: see `cubehub storage list`.",
        ) from error
    finally:
        os.close(root)
    made.free(home, _PATIENCE_S)
    entry = Entry(home, b"", ERASURE, found.bytes, found.files, found.newest, _EVER, facts.inode)
    run = made.begin_run(str(keeping.settings.homes), f"erasure of {readable(home)}", keeping.now())
    return keeper.quarantine(run, entry)


def away(keeping: Keeping, home: bytes, account: str | None) -> list[journal.Move]:
    """What was moved out of a home of an account earlier, and can still be had."""
    return [
        one
        for one in journal.read(keeping.settings.state, *journal.AWAY)
        if one.restorable and one.home == home and (account is None or one.account in {None, account})
    ]


def due(keeping: Keeping, made: journal.Journal) -> list[journal.Move]:
    """Homes that wait for their erasure and whose hold is over."""
    waiting = [m for m in made.moves(*journal.IN_QUARANTINE) if m.kind == ERASURE]
    return [m for m in waiting if keeping.now() - m.at >= keeping.policy.hold]


def finish(
    keeping: Keeping,
    keeper: Keeper,
    archivist: Archivist,
    made: journal.Journal,
    home: bytes,
    account: str | None,
) -> Receipt:
    """Remove all that there is of a home and its account in quarantine, archives and the catalogue, and what was written to them.

    Notes
    -----
    What fails is named in the receipt, and the next try goes on from there. An archive that is being written of something
    of this home gives way first. While something of theirs is left in the catalogue, the home waits in quarantine, for it
    is what the next round finds the erasure by.

    Raises
    ------
    CubeHubError
        Something of the home is being brought back just now, which takes long. Nothing is removed then.
    """
    made.free(home, _PATIENCE_S)
    receipt = Receipt(readable(home), account, keeping.who, _now(keeping))
    with record.opened(keeping.settings.state) as told_of:
        receipt.mails = told_of.forget(home)
    items_gone = _erase_items(keeping.settings.data, account, receipt)
    theirs = [
        m
        for m in made.moves(*journal.STATES)
        if m.home == home and (account is None or m.account in {None, account})
    ]
    waiting = [m for m in theirs if m.kind == ERASURE and m.state in journal.IN_QUARANTINE]
    if waiting and not items_gone:
        receipt.left[0] += "; until that is done the home waits in quarantine"
        theirs = [m for m in theirs if m not in waiting]
    # what waits for its erasure last: while it is there, a try that was ended is gone on with
    for one in sorted(theirs, key=lambda m: m.kind == ERASURE):
        path, removed_from = readable(one.path) or ".", []
        steps: list[tuple[str, Callable[[], Outcome]]] = []
        if one.state in {*journal.IN_QUARANTINE, PURGING}:
            steps.append(("quarantine", lambda m=one: keeper.purge(m, erased=True)))  # type: ignore[misc]
        if one.seal is not None:
            steps.append(("archive", lambda m=one: archivist.expire(_as_it_is(made, m))))  # type: ignore[misc]
        elif one.archive is not None:
            receipt.left.append(f"{path} in the archive: what was not finished of it could not be deleted")
        for where, act in steps:
            try:
                why = act().why
            except CubeHubError as error:
                why = error.message
            if why:
                receipt.left.append(f"{path} in the {where}: {why}")
            else:
                removed_from.append(where)
        if removed_from:
            receipt.removed.append(
                {"path": path, "bytes": one.bytes, "files": one.files, "from": removed_from}
            )
    archivist.tidy()
    receipt.ended = _now(keeping)
    _keep(keeping.settings.state, receipt)
    return receipt


def _erase_items(data: Path, account: str | None, receipt: Receipt) -> bool:
    """Erase what an account registered in the catalogue; whether another try would find nothing to do.

    Notes
    -----
    Names are given again, so a home alone says not whose.
    """
    if account is None:
        if registered.has_any(data):
            receipt.elsewhere = (*receipt.elsewhere, UNKNOWN_ACCOUNT)
        return True
    done = registered.erase(data, account)
    receipt.items_removed, receipt.items_kept = list(done.removed), list(done.kept)
    receipt.left += [f"catalogue: {why}" for why in done.left]
    if done.kept:
        receipt.elsewhere = (*receipt.elsewhere, GROUPS_ITEMS)
    return not done.left


def finished(
    keeping: Keeping, keeper: Keeper, archivist: Archivist, made: journal.Journal, waiting: journal.Move
) -> list[Outcome]:
    """Finish an erasure whose hold is over, and write it into the audit log."""
    try:
        made.free(waiting.home, _PATIENCE_S)
    except CubeHubError as error:
        return [Outcome(waiting.home, waiting.path, 0, error.message.rstrip("."), waiting.id)]
    done = [Outcome(waiting.home, waiting.path, waiting.bytes, move=waiting.id)]
    keeping.note("erased", done)
    receipt = finish(keeping, keeper, archivist, made, waiting.home, waiting.account)
    return [Outcome(waiting.home, waiting.path, 0, why, waiting.id) for why in receipt.left] or done


def _as_it_is(made: journal.Journal, move: journal.Move) -> journal.Move:
    return next(one for one in made.moves(*journal.STATES) if one.id == move.id)


def _now(keeping: Keeping) -> str:
    return datetime.fromtimestamp(keeping.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _keep(state: Path, receipt: Receipt) -> None:
    folder = state / RECEIPTS
    folder.mkdir(mode=0o700, exist_ok=True)
    name = f"{receipt.home}-{receipt.begun.replace(':', '')}.json".replace("/", "%2F")
    receipt.file = str(folder / name)
    write_json(folder / name, asdict(receipt))


def export(
    keeping: Keeping,
    home: bytes,
    to: Path,
    about: dict[str, Any],
    progress: Callable[[int, int], None] = lambda _files, _bytes: None,
) -> list[Path]:
    """Write a person's home and what is known of them into a folder.

    Parameters
    ----------
    to : path
        A folder that is there; nothing in it is replaced.
    about : dict
        What the accounts service tells of the person.

    Returns
    -------
    list of path
        The files that were written.

    Raises
    ------
    BadInputError
        There is no such home, or the folder cannot be written to.
    CubeHubError
        Something in the home changed meanwhile: a server runs.
    """
    name = readable(home).replace("/", "%2F")
    files = [to / f"{name}.tar.zst", to / f"{name}.jsonl.zst", to / f"{name}.json"]
    for file in files:
        if os.path.lexists(file):
            raise BadInputError(f"{file} is there already.", "Name another folder, or move it away.")
    try:
        root = os.open(keeping.settings.homes, beneath.FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise BadInputError(
            f"The homes cannot be read: {error.strerror}.", "Run this as their owner."
        ) from error
    written: list[Path] = []
    try:
        beneath.look(root, home)
        with _new(files[0]) as archive, _new(files[1]) as listing:
            written += files[:2]
            pack(root, home, archive, listing, progress=progress)
        with _new(files[2]) as text:
            written.append(files[2])
            known = json.dumps(_known(keeping, home, about), indent=1, ensure_ascii=False)
            # half a surrogate pair is no UTF-8; so it stands as JSON writes it
            text.write(known.encode(errors="backslashreplace"))
    except BaseException as error:
        for file in written:
            file.unlink(missing_ok=True)
        if isinstance(error, FileNotFoundError):
            raise BadInputError(f"There is no home {name!r}.", "See `cubehub storage show --all`.") from error
        if isinstance(error, OSError):
            raise BadInputError(
                f"{to} cannot be written to: {error.strerror}.", "Name another folder."
            ) from error
        raise
    finally:
        os.close(root)
    return files


def _new(file: Path) -> Any:
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _known(keeping: Keeping, home: bytes, about: dict[str, Any]) -> dict[str, Any]:
    """What the platform knows of a person besides their files."""
    with record.opened(keeping.settings.state) as told:
        mails = [
            {"written": m.made, "sent": m.sent, "subject": m.subject, "text": m.body}
            for m in told.outbox.newest(10_000)
            if m.username == about.get("name")
        ]
        kept = [
            {"path": readable(k.path), "until": k.until, "by": k.by} for k in told.kept(keeping.now(), home)
        ]
    account = account_of(keeping.settings.homes, home) or about.get("id")
    moves = [
        m
        for m in journal.read(keeping.settings.state, *journal.STATES)
        if m.home == home and m.account in {None, account}
    ]
    return {
        "account": about,
        "audit": _audited(keeping.settings.audit_log, str(about.get("name", ""))),
        "kept": kept,
        "mails": mails,
        "registered": registered.items_of(keeping.settings.data, str(account)) if account else [],
        "moved": [
            {"path": readable(m.path), "kind": m.kind, "bytes": m.bytes, "state": m.state, "at": m.at}
            for m in moves
        ],
    }


def _audited(log: Path, name: str) -> list[dict[str, Any]]:
    """Lines of the audit log that are about a person."""
    found = []
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and str(entry.get("user", "")).lower() == name.lower():
            found.append(entry)
    return found
