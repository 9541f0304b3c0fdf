"""Lists that a part of another environment reads: that part's own reader looks at them, as a program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cubehub.errors import BadInputError, CubeHubError

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE_S, _BAD, _LONGEST = 60, 2, 400


@dataclass(frozen=True)
class Reader:
    """A program that looks at a list: it ends with 0, or with 2 and says what is wrong, in a line, and what to do.

    Attributes
    ----------
    module : str
        What Python runs.
    what : str
        What the list is of.
    code : str
        Of the error where the list is wrong.
    """

    module: str
    what: str
    code: str


def look_at(reader: Reader, python: Path, path: Path, patience_s: float = _PATIENCE_S) -> None:
    """Have a list looked at.

    Parameters
    ----------
    python
        Of the reader's environment.
    path
        The list.
    patience_s
        How long the reader may take.

    Raises
    ------
    BadInputError
        The list is wrong.
    CubeHubError
        The reader ended in a way that says nothing of the list, or not at all: nobody knows whether it is right.
    OSError
        There is no such Python, or it cannot be run.
    """
    # -P: nothing of the folder that the command was given in, whoever may write there
    command = [str(python), "-P", "-m", reader.module, str(path)]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=patience_s
        )
    except subprocess.TimeoutExpired as error:
        raise _unknown(reader, path, f"did not end within {patience_s:g} s", error.stderr) from error
    if ran.returncode == 0:
        return
    if ran.returncode == _BAD and ran.stderr.strip():
        message, _, hint = ran.stderr.strip().partition("\n")
        raise BadInputError(message, hint, code=reader.code)
    how = f"ended with {ran.returncode}" if ran.returncode > 0 else f"was ended by signal {-ran.returncode}"
    raise _unknown(reader, path, how, ran.stderr)


def _unknown(reader: Reader, path: Path, how: str, said: str | bytes | None) -> CubeHubError:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said or ""
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    tail = f"; its last words: {last[:_LONGEST]}" if last else " and said nothing"
    return CubeHubError(
        f"The list of {reader.what}, {path}, could not be checked: `python -m {reader.module}` {how}{tail}",
        "Its environment may be damaged, or the machine out of memory or disk: see to these, then try again. "
        "`cubehub up` makes an environment that was removed from `envs` in the data folder anew.",
        code=f"{reader.code}_not_checked",
    )
