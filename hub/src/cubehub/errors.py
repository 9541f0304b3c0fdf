"""What goes wrong, said so that a person knows what to do next."""


class CubeHubError(Exception):
    """Root of every error CubeHub raises on purpose.

    Parameters
    ----------
    message
        What was wrong and where, for the person who reads it.
    hint
        What to do next.
    code
        Stable snake_case name; logs, metrics and the JSON output carry it.
    """

    code = "failure"
    exit_status = 1

    def __init__(self, message: str, hint: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class BadInputError(CubeHubError):
    """The command, the settings or a file given by the operator is wrong (exit status 2)."""

    code = "bad_input"
    exit_status = 2
