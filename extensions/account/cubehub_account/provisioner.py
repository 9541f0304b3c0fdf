"""Kernels and terminals go first when memory runs out, so that the server they belong to stays."""

from __future__ import annotations

from typing import Any

from jupyter_client.provisioning import LocalProvisioner

from cubehub_account.memory import ledger

_SCORE, _HIGHEST = 500, 1000
"""Half of the server's limit is added to what the kernel's out-of-memory killer takes a process to use, on top of what
it has: in a pod, the kubelet has given nearly the highest to all of the server already."""


def first_to_go(command: list[str]) -> list[str]:
    """Wrap a command so that it, and what it starts, is stopped before the server.

    Notes
    -----
    The shell raises its own ``oom_score_adj``, which any process may, and becomes the command: process id, signals and
    exit status are the command's own.
    """
    script = (
        f'read own </proc/self/oom_score_adj; new=$((own + {_SCORE})); [ "$new" -le {_HIGHEST} ] || new={_HIGHEST}; '
        'echo "$new" 2>/dev/null >/proc/self/oom_score_adj; exec "$@"'
    )
    return ["/bin/sh", "-c", script, "sh", *command]


class FirstToGoProvisioner(LocalProvisioner):
    """A local kernel that is stopped before the server is, and whose end is looked into at once."""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Wrap the kernel's command."""
        kwargs = await super().pre_launch(**kwargs)
        kwargs["cmd"] = first_to_go(kwargs["cmd"])
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the kernel, and forget how the one before it ended."""
        if self.parent is not None:
            ledger().started(self.parent)
        return await super().launch_kernel(cmd, **kwargs)

    async def poll(self) -> int | None:
        """Tell whether the kernel runs.

        Notes
        -----
        Called by the restarter every few seconds and before it announces a restart: so the reason is known when the
        announcement goes out.
        """
        status: int | None = await super().poll()
        if status is None:
            ledger().look()
        elif self.process is not None and self.parent is not None:
            ledger().died(self.parent, status)
        return status
