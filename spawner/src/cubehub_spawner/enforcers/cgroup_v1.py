"""The memory controller of cgroup v1, for root on a machine without v2."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from cubehub_spawner.enforcers._cgroup import PERIOD_US, CgroupEnforcer, own_cgroup, quota_us
from cubehub_spawner.enforcers.base import CannotHoldError

_ROOT = Path("/sys/fs/cgroup/memory")
SOCKET_BYTES = 256 * 2**20
"""What a group may have waiting in network sockets. v1 counts it apart from its memory, and not at all without a limit:
a server could have gigabytes in connections to itself."""


def _base_of(controller: str) -> Path | None:
    """Find where groups of a controller may be made, by making one."""
    root = Path("/sys/fs/cgroup") / controller
    own = own_cgroup(controller)
    if own is None or not root.is_dir():
        return None
    base = root / own.lstrip("/")
    base = base if base.is_dir() else root
    tried = base / f"cubehub-probe-{os.getpid()}"
    try:
        tried.mkdir()
        tried.rmdir()
    except OSError:
        return None
    return base


class CgroupV1(CgroupEnforcer):
    """Limits by ``memory.limit_in_bytes``, and ``memory.memsw.limit_in_bytes`` where the kernel counts swap."""

    name: ClassVar[str] = "cgroup_v1"
    inside: ClassVar[Path] = _ROOT
    usage_file: ClassVar[str] = "memory.usage_in_bytes"
    limit_file: ClassVar[str] = "memory.limit_in_bytes"
    events_file: ClassVar[str] = "memory.oom_control"

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.beside: dict[str, Path] = {}
        """Where groups of the other controllers are made: ``cpu`` and ``pids``, where they can be."""

    @classmethod
    def probe(cls, state_dir: Path) -> CgroupV1:
        """Use the Hub's own cgroup as base, so that a limit around the Hub holds its servers too."""
        del state_dir
        own = own_cgroup("memory")
        if own is None or not _ROOT.is_dir():
            raise CannotHoldError("there is no cgroup v1 memory controller")
        base = _ROOT / own.lstrip("/")
        enforcer = cls(base if base.is_dir() else _ROOT)  # in a container the path may be the host's
        enforcer.try_out()
        for controller in ("cpu", "pids"):  # each is a tree of its own, and may be there or not
            if (found := _base_of(controller)) is not None:
                enforcer.beside[controller] = found
        return enforcer

    @property
    @override
    def holds(self) -> frozenset[str]:
        names = {"cpu": "cpu", "pids": "processes"}
        return frozenset({"memory", *(names[controller] for controller in self.beside)})

    @override
    def _folders(self, handle: str) -> list[Path]:
        name = Path(handle).name
        beside = [base / name for base in self.beside.values()]
        return [*(folder for folder in beside if folder.is_dir()), Path(handle)]

    @override
    def _write_more(self, handle: str, cpu: float | None, pids: int | None) -> None:
        name = Path(handle).name
        wanted = {"cpu": cpu, "pids": pids}
        for controller, base in self.beside.items():
            if wanted[controller] is not None:
                (base / name).mkdir(exist_ok=True)
        if cpu is not None and "cpu" in self.beside:
            period, quota = (
                (self.beside["cpu"] / name / f"cpu.cfs_{what}_us") for what in ("period", "quota")
            )
            period.write_text(str(PERIOD_US), encoding="ascii")
            quota.write_text(str(quota_us(cpu)), encoding="ascii")
        if pids is not None and "pids" in self.beside:
            (self.beside["pids"] / name / "pids.max").write_text(str(pids), encoding="ascii")

    def _write_limit(self, folder: Path, memory_bytes: int) -> None:
        sockets = folder / "memory.kmem.tcp.limit_in_bytes"
        if sockets.exists():  # not in every kernel
            sockets.write_text(str(SOCKET_BYTES), encoding="ascii")
        plain, with_swap = folder / "memory.limit_in_bytes", folder / "memory.memsw.limit_in_bytes"
        # The kernel keeps plain <= with_swap at every moment, so growing and shrinking write in opposite order.
        files = [plain]
        if with_swap.exists():
            grows = memory_bytes > int(with_swap.read_text(encoding="ascii"))
            files = [with_swap, plain] if grows else [plain, with_swap]
        else:
            (folder / "memory.swappiness").write_text("0", encoding="ascii")
        for file in files:
            file.write_text(str(memory_bytes), encoding="ascii")
