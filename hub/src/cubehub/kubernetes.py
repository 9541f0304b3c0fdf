"""Servers as pods: what a Hub's configuration needs for them, beside the cluster and in it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets.config import LazyConfigValue

from cubehub.errors import BadInputError
from cubehub.hub_apis import FOR_NOTEBOOKS, give_apis, roles_of_people, roles_of_services
from cubehub.settings import ConfigFolder

if TYPE_CHECKING:
    import os
    from collections.abc import Callable


__all__ = ["hub_in_cluster", "servers_as_pods"]

TEXT_VARIABLE = "CUBEHUB_CATALOGUES_YAML"
"""The list of catalogues as a whole: a pod has no file of the Hub's, and people's namespaces no ConfigMap of it."""
_LARGEST = 100_000
"""Bytes; the kernel takes 128 KiB for one variable."""
_TOLD = ("CUBEHUB_URL", "CUBEHUB_CUBES_URL", "CUBEHUB_CATALOGUE_URL")
_SPAWNERS = ("Spawner", "KubeSpawner", "ProfileKubeSpawner")
"""Of whose variables an operator may set some, the one that counts most last."""
log = logging.getLogger("cubehub")


def servers_as_pods(c: Any) -> None:
    """Have the servers of a Hub that `configure` set up run as pods; it stands beside the cluster.

    Parameters
    ----------
    c
        The configuration object, after ``configure(c)``.

    Raises
    ------
    BadInputError
        It was not called before.

    Notes
    -----
    Image, namespace, and an address of the Hub that pods reach are the operator's to set. Dask Gateway's clusters, samples
    and the keeper of homes are the machine's own, so pods are not told of them.
    """
    from cubehub_spawner import ProfileKubeSpawner  # noqa: PLC0415 - reads the kubeconfig

    local = c.ProfileLocalSpawner
    if "directory" not in local or "extra_env" not in local:
        raise BadInputError(
            "servers_as_pods(c) was called before configure(c).",
            "Call configure(c) first, in jupyterhub_config.py.",
        )
    catalogues = Path(local.extra_env["CUBEHUB_CATALOGUES"])
    told = {name: local.extra_env[name] for name in _TOLD}
    c.JupyterHub.spawner_class = ProfileKubeSpawner
    # servers outlive the Hub
    c.JupyterHub.cleanup_servers = False
    for name in ("directory", "profiles_file", "audit_log"):
        c.ProfileKubeSpawner[name] = local[name]
    _tell(c, {**told, TEXT_VARIABLE: _content(lambda: catalogues)})


def hub_in_cluster(c: Any, *, config: str | os.PathLike[str], public_url: str, directory: Any) -> None:
    """Give a Hub in the cluster what `configure` gives one on a machine: its APIs, rights of people, what servers are told.

    Parameters
    ----------
    c
        The configuration object, after its ``services`` are set.
    config
        Folder with the operator's own profiles.yaml, catalogues.yaml and cubehub.yaml, such as a mounted ConfigMap; what is
        not there is as shipped.
    public_url
        Of the platform, as browsers reach it. Pods must reach it, too.
    directory
        Whom the Hub asks who somebody is.

    Notes
    -----
    People's servers may ask those of the services that the Hub has; these are told who asks by their names: ``catalogue``,
    ``cubes``, ``dask-gateway``, ``storage``.
    """
    from cubehub_spawner import ProfileKubeSpawner  # noqa: PLC0415 - reads the kubeconfig

    from cubehub.authenticator import KeycloakAuthenticator  # noqa: PLC0415 - heavy, and only the Hub needs it

    folder = ConfigFolder(Path(config))
    give_apis(c, folder, directory)
    here = [one["name"] for one in _listed(c, "services") if one.get("name") in FOR_NOTEBOOKS]
    if "authenticator_class" not in c.JupyterHub:
        c.JupyterHub.authenticator_class = KeycloakAuthenticator
    _add_roles(c, [*roles_of_people(here), *roles_of_services(here)])
    c.JupyterHub.spawner_class = ProfileKubeSpawner
    c.JupyterHub.cleanup_servers = False
    c.ProfileKubeSpawner.directory = directory
    c.ProfileKubeSpawner.profiles_file = str(folder.path("profiles.yaml"))
    public = public_url.rstrip("/")
    told: dict[str, Any] = {
        "CUBEHUB_URL": public,
        TEXT_VARIABLE: _content(lambda: folder.path("catalogues.yaml")),
    }
    told |= {
        f"CUBEHUB_{name.upper()}_URL": f"{public}/services/{name}" for name in here if name != "dask-gateway"
    }
    _tell(c, told)


def _tell(c: Any, variables: dict[str, Any]) -> None:
    """Add variables to every server's; what the operator set already stays, of whichever class of the spawner's they set it."""
    for name in _SPAWNERS:
        # a section that is only looked at would be made
        already = c[name].get("environment", {}) if name in c else {}
        variables |= already.get_value({}) if isinstance(already, LazyConfigValue) else already
    c.ProfileKubeSpawner.environment = variables


def _content(file: Callable[[], Path]) -> Callable[[Any], str]:
    """Read the list at each start of a server; the panel says that it did not come where that fails."""

    def read(_spawner: Any) -> str:
        path = file()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            log.error("The list of catalogues does not reach servers: %s cannot be read: %s", path, error)  # noqa: TRY400
            return ""
        if len(text.encode()) > _LARGEST:
            log.error(
                "The list of catalogues does not reach servers: %s is larger than %d bytes", path, _LARGEST
            )
            return ""
        # Kubernetes puts the value of a variable in place of $(NAME), and one $ in place of two
        return text.replace("$", "$$")

    return read


def _listed(c: Any, name: str) -> list[dict[str, Any]]:
    """Give what the operator set, by a list or by adding to one."""
    value = c.JupyterHub.get(name, [])
    return list(value.get_value([]) if isinstance(value, LazyConfigValue) else value)


def _role(roles: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(role for role in roles if role["name"] == name)


def _add_roles(c: Any, roles: list[dict[str, Any]]) -> None:
    """Add roles to the operator's own; one of the same name gets the scopes, for JupyterHub takes each name once."""
    given = [dict(role) for role in _listed(c, "load_roles")]
    names = {role["name"] for role in given}
    for role in roles:
        if role["name"] not in names:
            given.append(role)
            continue
        mine = _role(given, role["name"])
        for key in ("scopes", "services"):
            more = [one for one in role.get(key, []) if one not in mine.get(key, [])]
            if more:
                mine[key] = [*mine.get(key, []), *more]
    c.JupyterHub.load_roles = given
