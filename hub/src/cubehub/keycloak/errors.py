"""What goes wrong between CubeHub and its Keycloak."""

from __future__ import annotations

from cubehub.errors import CubeHubError


class KeycloakFetchError(CubeHubError):
    """The package could not be fetched, or what came is not what was asked for."""

    code = "keycloak_fetch"


class KeycloakBuildError(CubeHubError):
    """Keycloak refused its own build options, or the machine ended the build."""

    code = "keycloak_build"


class ProvisionError(CubeHubError):
    """The realm could not be made or brought up to date; repeating is safe."""

    code = "keycloak_provision"
