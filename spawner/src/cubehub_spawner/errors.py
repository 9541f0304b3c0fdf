"""What can go wrong between a request for a server and a server, one class per cause."""

from __future__ import annotations


class SpawnerError(Exception):
    """A failure that can be shown to the person as it stands.

    Parameters
    ----------
    message : str, optional
        What was wrong and where; the class's own text where nothing more is known.
    hint : str, optional
        What to do next; the class's own where none is given.
    """

    code: str = "spawner_error"
    """Stable snake_case name, used in logs and as a metric label: so one of a few values."""
    default_message: str = "The server could not be started."
    default_hint: str = "Try again; if it happens again, tell your administrator."

    def __init__(self, message: str | None = None, hint: str | None = None) -> None:
        self.message = message or self.default_message
        self.hint = hint or self.default_hint
        super().__init__(self.message)


class DirectoryUnavailableError(SpawnerError):
    """The directory could not be asked: nobody starts a server until it can (fail closed)."""

    code = "directory_unavailable"
    default_message = "Your account could not be checked: the account service does not answer."
    default_hint = "Nothing is wrong with your account. Try again in a minute."


class UnknownAccountError(SpawnerError):
    """The directory answered, and has no account of that name."""

    code = "unknown_account"
    default_message = "The account service has no account with your user name."
    default_hint = (
        "Log out and in again; if it happens again, ask your administrator to look at your account."
    )


class ProfileFileError(SpawnerError):
    """The profiles file can't be used; the message names file, line and value."""

    code = "profile_file"
    default_message = "The profiles file can't be used."
    default_hint = (
        "Correct the line named. A platform that runs reads the file again by itself; "
        "config/profiles.yaml is an annotated example."
    )


class NoEnforcerError(SpawnerError):
    """Nothing on this machine can hold a server to its RAM, so no server starts."""

    code = "no_enforcer"
    default_message = "This machine can't hold a server to its memory limit, so no server is started."
    default_hint = (
        "Your administrator needs one of: a writable cgroup v2 or v1 memory controller, "
        "systemd with a user session, or a readable /proc."
    )


class AnotherAccountError(SpawnerError):
    """The user name belonged to another account before, and a server of that one still runs."""

    code = "another_account"
    default_message = "Your user name belonged to another account before, whose server still runs."
    default_hint = "Ask your administrator to stop all servers of your user name, then try again."


class NotIsolatedError(SpawnerError):
    """Nothing keeps servers apart here, and another person's files are there already."""

    code = "not_isolated"
    default_message = (
        "This machine can't keep people's files apart, so only one person can have servers here."
    )
    default_hint = (
        "Your administrator can change that: install bubblewrap, run CubeHub as root, "
        "or say --trust-everyone where everyone may read everyone's files."
    )


class PortTakenError(SpawnerError):
    """Each port that was tried for the server had a listener of somebody else by the time it listened."""

    code = "port_taken"
    default_message = "Another program of this machine took the address of your server before it could start."
    default_hint = "Try again; if it happens again, tell your administrator: the Hub's log names the program."


class ServerEndedError(SpawnerError):
    """The server ended before it listened."""

    code = "server_ended"
    default_message = "Your server ended while it started."
    default_hint = (
        "Try again; if it happens again, tell your administrator, who finds its output by the Hub's log."
    )


class NoRoomError(SpawnerError):
    """The machine or node has no room for a server with a larger limit; the server keeps what it has."""

    code = "no_room"
    default_message = "This machine has no room for more memory now."
    default_hint = "Stop servers that nobody needs, or try again later."


class ResizeError(SpawnerError):
    """The limit of a running server could not be changed; it is as it was."""

    code = "resize_failed"
    default_message = "The memory limit of a running server could not be changed."
    default_hint = "Start the server again to give it the new limit."
