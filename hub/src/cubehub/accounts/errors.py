"""What the accounts service answers when something can't be done."""

from __future__ import annotations

from cubehub.errors import CubeHubError


class AccountsError(CubeHubError):
    """Root of the service's errors; `status` is the HTTP status it is answered with."""

    code = "failure"
    status = 500


class KeycloakError(AccountsError):
    """Keycloak could not be asked, or did not do what it was asked."""

    code = "directory_error"
    status = 503


class HubError(AccountsError):
    """The Hub could not be asked, or did not do what it was asked."""

    code = "hub_error"
    status = 503


class GatewayError(AccountsError):
    """Dask Gateway could not be asked."""

    code = "gateway_error"
    status = 503


class AuditError(AccountsError):
    """The audit log can't be written, so nothing was changed."""

    code = "audit_failed"
    status = 503


class UnknownUserError(AccountsError):
    """Keycloak has nobody of that name."""

    code = "unknown_account"
    status = 404


class RefusedError(AccountsError):
    """It is understood and not done; the message says why."""

    code = "refused"
    status = 409


class BadRequestError(AccountsError):
    """What was sent is not what the address takes."""

    code = "bad_input"
    status = 400


class ForbiddenError(AccountsError):
    """The token is missing, or has no scope for this."""

    code = "forbidden"
    status = 403
