"""The `cubehub` command."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import traceback
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cubehub.errors import CubeHubError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the number of SIGINT."""


class _Command(click.Group):
    """Shows whatever goes wrong as `error:` and `hint:` (and as JSON where asked), never as a traceback."""

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run the command and leave with its status; see `click.Command.main`."""
        words = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            sys.exit(super().main(words, **extra))
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            status = error.exit_code
        except (click.Abort, KeyboardInterrupt) as error:
            status = INTERRUPTED
            # a question that met the end of its input, in cron or behind a pipe; a Ctrl-C would be its cause
            at_end = isinstance(error, click.Abort) and error.__cause__ is None
            asked = at_end and not (sys.stdin and sys.stdin.isatty())
            _show(
                words,
                "interrupted",
                "Interrupted; what was done so far is kept.",
                "It asked, and nobody could answer: say --yes."
                if asked
                else "Run the command again to go on.",
            )
        except Exception as error:  # noqa: BLE001 - the last edge before a person
            status, told = _explain(error)
            _show(words, *told)
        sys.exit(status)


def _explain(error: Exception) -> tuple[int, tuple[str, str, str]]:
    """Exit status of an error, and its code, message and hint."""
    if isinstance(error, CubeHubError):
        return error.exit_status, (error.code, error.message, error.hint)
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f"See {context.command_path} --help." if context else ""
        return error.exit_code, ("bad_input", error.format_message(), hint)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EPIPE) and error.filename is None:
        return 1, (
            "output_failed",
            f"The output could not be written: {error.strerror}.",
            "Look where it goes.",
        )
    if spawner_error := _spawner_error(error):
        return 1, spawner_error
    if "CUBEHUB_DEBUG" in os.environ:
        traceback.print_exception(error)
    return 1, (
        "internal",
        f"Something CubeHub did not expect: {type(error).__name__}: {error}",
        "Run it again with CUBEHUB_DEBUG=1 for the details, and please report them.",
    )


def _spawner_error(error: Exception) -> tuple[str, str, str] | None:
    try:
        from cubehub_spawner import SpawnerError  # noqa: PLC0415 - absent where only the light half is installed
    except ImportError:
        return None
    return (error.code, error.message, error.hint) if isinstance(error, SpawnerError) else None


def _typable(words: Sequence[str], hint: str) -> str:
    """Write the commands in a hint for the folder that the command was about."""
    try:
        from cubehub.local.data_folder import default_data, full_path, runnable  # noqa: PLC0415 - the server half
    except ImportError:
        return hint
    named = [after for word, after in pairwise(words) if word == "--data"]
    named += [word.removeprefix("--data=") for word in words if word.startswith("--data=")]
    try:
        return runnable(hint, full_path(Path(named[-1])) if named else default_data())
    except CubeHubError:
        return hint


def _show(words: Sequence[str], code: str, message: str, hint: str) -> None:
    hint = _typable(words, hint)
    if "--json" in words:
        # standard output itself may be what failed
        with contextlib.suppress(OSError):
            click.echo(json.dumps({"code": code, "message": message, "hint": hint}))
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cubehub")
def cubehub() -> None:
    """Run an Earth-observation platform: notebooks, cubes, catalogue and Dask behind one account."""


def load_commands() -> click.Group:
    """Give the `cubehub` command with all its subcommands; but for publishing and the catalogue they need the server half."""
    if find_spec("jupyterhub") is None or find_spec("cubehub_spawner") is None:
        from cubehub.cli.catalogue import catalogue  # noqa: PLC0415 - as below
        from cubehub.cli.publishing import light  # noqa: PLC0415 - as below

        cubehub.add_command(light, "cubes")
        cubehub.add_command(catalogue)
        return cubehub
    from cubehub.cli import audit, cubes, doctor, logs, status, storage, up, users  # noqa: PLC0415 - so that a missing extra gets a message
    from cubehub.cli import catalogue as own_items  # noqa: PLC0415 - as above

    for command in (
        up.up,
        status.down,
        status.status,
        doctor.doctor,
        users.users,
        audit.audit,
        logs.logs,
        cubes.cubes,
        storage.storage,
        own_items.catalogue,
    ):
        cubehub.add_command(command)
    return cubehub


def main() -> None:
    """Entry point of the `cubehub` command."""
    try:
        command = load_commands()
    except ModuleNotFoundError as error:
        click.echo(f"error: {error.name} is not installed here.", err=True)
        click.echo("hint: This command needs the server half: pip install 'cubehub[server]'.", err=True)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    command()
