"""What a running pod tells: how much it uses, and whether it was stopped for want of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubehub_spawner._kube_pod import SERVER, Pod, quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIND_EVENTS = """\
for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
  if [ -r "$file" ]; then export CUBEHUB_MEMORY_EVENTS="$file"; break; fi
done
"""


def pod_command(command: Sequence[str], *, finds_events: bool, rescue: str) -> list[str]:
    """Give a command that runs another, and first finds out what only the pod can.

    Parameters
    ----------
    command : sequence of str
        The server's own.
    finds_events : bool
        Tell it where out-of-memory kills are counted. The file is another one with each version of cgroups, and no part
        of Kubernetes tells a Hub which one a node has.
    rescue : str
        Shell lines for a home that may be full; empty for none.
    """
    lines = (_FIND_EVENTS if finds_events else "") + rescue
    return ["/bin/sh", "-c", f'{lines}exec "$@"\n', "sh", *command] if lines else [*command]


def metrics_bytes(metrics: Mapping[str, Any]) -> int:
    """Add up the memory of a pod's containers, from an object of ``metrics.k8s.io``."""
    return int(sum(quantity(one["usage"]["memory"]) for one in metrics["containers"]))


def ran_out(pod: Pod | None) -> str | None:
    """Tell when the server's container was last stopped as a whole for want of memory; None if it never was.

    Notes
    -----
    That is how cgroups of version 2 end it, all processes at once, unless the kubelet is set to
    ``singleProcessOOMKill``. Otherwise only the process that asked for too much is stopped, and the server tells why.
    """
    for container in ((pod or {}).get("status") or {}).get("containerStatuses") or []:
        if container["name"] != SERVER:
            continue
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            ended = state.get("terminated") or {}
            if ended.get("reason") == "OOMKilled" and ended.get("finishedAt"):
                return str(ended["finishedAt"])
    return None
