"""What keeps a cube from being published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cubehub.errors import CubeHubError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class PublishingError(CubeHubError):
    """The platform refuses, or cannot be reached; ``code`` is the platform's."""

    def __str__(self) -> str:
        """Give the message and what to do, as a notebook shows it."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class NotPublishableError(PublishingError):
    """The dataset cannot be a cube as it is.

    Parameters
    ----------
    problems
        Each with ``where``, ``message``, ``hint``, ``level`` (``error`` or ``warning``) and ``rule``.
    """

    code = "not_publishable"
    exit_status = 2

    def __init__(self, message: str, hint: str, problems: Sequence[Mapping[str, str]]) -> None:
        super().__init__(message, hint)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        """Give the list of what is wrong."""
        return f"{self.message}\n{listed(self.problems)}"


def listed(problems: Sequence[Mapping[str, str]]) -> str:
    """Write problems as lines: errors first, each with what to do."""
    lines = []
    for one in sorted(problems, key=lambda p: p.get("level") != "error"):
        rule = f" [{one['rule']}]" if one.get("rule") else ""
        hint = f" → {one['hint']}" if one.get("hint") else ""
        lines.append(f"{one.get('level', 'error')}: {one.get('where')}: {one.get('message')}{rule}{hint}")
    return "\n".join(lines)
