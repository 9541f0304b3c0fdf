"""The memory controller of cgroup v1, for root on a machine without v2."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from cubehub_spawner.enforcers._cgroup import CgroupEnforcer, own_cgroup
from cubehub_spawner.enforcers.base import CannotHoldError

_ROOT = Path("/sys/fs/cgroup/memory")


class CgroupV1(CgroupEnforcer):
    """Limits by ``memory.limit_in_bytes``, and ``memory.memsw.limit_in_bytes`` where the kernel counts swap."""

    name: ClassVar[str] = "cgroup_v1"
    inside: ClassVar[Path] = _ROOT
    usage_file: ClassVar[str] = "memory.usage_in_bytes"
    limit_file: ClassVar[str] = "memory.limit_in_bytes"
    events_file: ClassVar[str] = "memory.oom_control"

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
        return enforcer

    def _write_limit(self, folder: Path, memory_bytes: int) -> None:
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
