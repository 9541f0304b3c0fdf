"""The unified hierarchy, for root or in a subtree that was delegated to the Hub."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from cubehub_spawner.enforcers._cgroup import PERIOD_US, CgroupEnforcer, hold_back, own_cgroup, quota_us
from cubehub_spawner.enforcers.base import CannotHoldError

_ROOT = Path("/sys/fs/cgroup")
_LEAF = "cubehub-hub"
"""Where the Hub itself goes, beside its servers."""


class CgroupV2(CgroupEnforcer):
    """Limits by ``memory.max`` with ``memory.swap.max`` 0."""

    name: ClassVar[str] = "cgroup_v2"
    inside: ClassVar[Path] = _ROOT
    usage_file: ClassVar[str] = "memory.current"
    limit_file: ClassVar[str] = "memory.max"
    events_file: ClassVar[str] = "memory.events"

    @classmethod
    def probe(cls, state_dir: Path) -> CgroupV2:
        """Use the Hub's own cgroup where it was delegated, else, where no systemd owns the tree, its root."""
        del state_dir
        own = own_cgroup("")
        if own is None or not (_ROOT / "cgroup.controllers").exists():
            raise CannotHoldError("there is no cgroup v2 hierarchy")
        reasons = []
        bases = candidate_bases(_ROOT / own.lstrip("/"), _ROOT, systemd=Path("/run/systemd/system").is_dir())
        if not bases:
            raise CannotHoldError("systemd owns the tree and has not delegated the Hub's part of it")
        for base in bases:
            try:
                enable_memory(base)
                enable_more(base)
                enforcer = cls(base)
                enforcer.try_out()
            except (OSError, CannotHoldError) as error:
                reasons.append(f"{base}: {error}")
            else:
                return enforcer
        raise CannotHoldError("; ".join(reasons))

    @override
    def hold_back(self, handle: str, memory_bytes: int | None) -> None:
        high = Path(handle) / "memory.high"
        hold_back(Path(handle), lambda text: high.write_text(text, encoding="ascii"), memory_bytes)

    @property
    @override
    def holds(self) -> frozenset[str]:
        handed_on = (self.base / "cgroup.subtree_control").read_text(encoding="ascii").split()
        names = {"cpu": "cpu", "pids": "processes"}
        return frozenset({"memory", *(names[one] for one in handed_on if one in names)})

    @override
    def _write_more(self, handle: str, cpu: float | None, pids: int | None) -> None:
        folder = Path(handle)
        if cpu is not None and "cpu" in self.holds:
            (folder / "cpu.max").write_text(f"{quota_us(cpu)} {PERIOD_US}", encoding="ascii")
        if pids is not None and "processes" in self.holds:
            (folder / "pids.max").write_text(str(pids), encoding="ascii")

    def _write_limit(self, folder: Path, memory_bytes: int) -> None:
        (folder / "memory.max").write_text(str(memory_bytes), encoding="ascii")
        with suppress(FileNotFoundError):  # a kernel that does not account swap has no such file
            (folder / "memory.swap.max").write_text("0", encoding="ascii")


def candidate_bases(own: Path, root: Path, *, systemd: bool) -> list[Path]:
    """List the folders under which groups may be made.

    Notes
    -----
    systemd rewrites what it has not delegated, limits included, whenever it likes, even where the files could be
    written: there the Hub leaves the tree alone and asks systemd for a scope.

    A Hub that was restarted by a process which an earlier one moved begins in the leaf; its base is the leaf's parent.
    """
    if own.name == _LEAF:
        own = own.parent
    if not systemd:
        return list(dict.fromkeys((own, root)))
    try:
        delegated = os.getxattr(own, "user.delegate") == b"1"
    except OSError:
        delegated = False
    return [own] if delegated else []


def enable_more(base: Path) -> None:
    """Let the children of `base` have limits of cores and processes too, as far as these are there to be handed on."""
    for controller in ("cpu", "pids"):
        with suppress(OSError):
            if controller in (base / "cgroup.controllers").read_text(encoding="ascii").split():
                (base / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")


def enable_memory(base: Path) -> None:
    """Let the children of `base` have memory limits.

    Notes
    -----
    A cgroup that hands controllers to its children may hold no processes itself (the root apart): those in it,
    the Hub's own, move to a leaf beside the servers.

    Raises
    ------
    CannotHoldError
        When the memory controller isn't there to be handed on.
    OSError
        When the tree isn't ours to write.
    """
    if "memory" not in (base / "cgroup.controllers").read_text(encoding="ascii").split():
        raise CannotHoldError("the memory controller is not delegated to it")
    control = base / "cgroup.subtree_control"
    if "memory" in control.read_text(encoding="ascii").split():
        return
    if not os.access(control, os.W_OK):
        raise CannotHoldError("not writable by this user")
    try:
        control.write_text("+memory", encoding="ascii")
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        leaf = base / _LEAF
        leaf.mkdir(exist_ok=True)
        for pid in (base / "cgroup.procs").read_text(encoding="ascii").split():
            with suppress(ProcessLookupError):
                (leaf / "cgroup.procs").write_text(pid, encoding="ascii")
        control.write_text("+memory", encoding="ascii")
