"""Entitlement and the spawners that enforce it."""

from cubehub_spawner.entitlement import Account, Grant, Refusal, decide
from cubehub_spawner.errors import (
    DirectoryUnavailableError,
    NoEnforcerError,
    ProfileFileError,
    SpawnerError,
    UnknownAccountError,
)
from cubehub_spawner.profiles import DaskBudget, Profile, Profiles, load_profiles

__all__ = [
    "Account",
    "DaskBudget",
    "DirectoryUnavailableError",
    "Grant",
    "NoEnforcerError",
    "Profile",
    "ProfileFileError",
    "ProfileKubeSpawner",
    "ProfileLocalSpawner",
    "Profiles",
    "Refusal",
    "SpawnerError",
    "UnknownAccountError",
    "decide",
    "load_profiles",
]


def __getattr__(name: str) -> object:
    """Load a spawner, and JupyterHub with it, only for those who start servers."""
    if name == "ProfileLocalSpawner":
        from cubehub_spawner._local import ProfileLocalSpawner  # noqa: PLC0415 - see above

        return ProfileLocalSpawner
    if name == "ProfileKubeSpawner":  # kubespawner comes with the extra `kube`
        from cubehub_spawner._kube import ProfileKubeSpawner  # noqa: PLC0415 - see above

        return ProfileKubeSpawner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
