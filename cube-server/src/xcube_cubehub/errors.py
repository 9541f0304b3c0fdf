"""The one family of errors of this distribution, each with what to do next."""


class CubeError(Exception):
    """Something a person can put right.

    Parameters
    ----------
    message : str
        What was wrong, and where.
    hint : str
        What to do next; may be empty.
    """

    code = "cube_failed"
    exit_status = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInputError(CubeError):
    """A command, a file or a setting that cannot be used as it is; exit status 2."""

    code = "bad_input"
    exit_status = 2


class ConfigError(BadInputError):
    """A configuration file that cannot be read or says something impossible."""

    code = "bad_config"


class SourceMissingError(BadInputError):
    """The source folder lacks what a recipe needs."""

    code = "source_missing"


class TokenError(CubeError):
    """A token that proves nothing: expired, for someone else, or not signed by the issuer."""

    code = "bad_token"
    status = 401


class SessionOverError(TokenError):
    """A token by which the issuer no longer stands: suspended, signed out, revoked."""

    code = "session_over"


class IssuerUnreachableError(CubeError):
    """The issuer could not be asked for too long, so no token can be judged."""

    code = "issuer_unreachable"
    status = 503


class RequestError(CubeError):
    """A request that cannot be answered as it is: the message says which part of it, and what is allowed."""

    code = "bad_request"
    status = 400


class BusyError(RequestError):
    """A request for which no thread is free, nor a place among those that wait for one."""

    code = "busy"
    status = 503


class NotThereError(RequestError):
    """A request for something that does not exist."""

    code = "not_there"
    status = 404


class SourceUnreachableError(CubeError):
    """A source that answers not at all, too late, or with something else."""

    code = "source_unreachable"


class SceneBrokenError(CubeError):
    """One scene that cannot be used; a line of the report, never the end of a build."""

    code = "scene_broken"


class RecipeError(ConfigError):
    """A recipe that says something impossible."""

    code = "bad_recipe"
