"""Everything CubeHub sets on a JupyterHub, in one place: `configure(c)` in a jupyterhub_config.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cubehub.catalogue_list import give_catalogues
from cubehub.errors import BadInputError
from cubehub.examples import welcome
from cubehub.hub_apis import give_apis, roles_of_people, roles_of_services
from cubehub.keycloak.permissions import ADMIN_GROUP
from cubehub.keycloak.realm import DIRECTORY_CLIENT, DIRECTORY_SECRET, HUB_CLIENT, HUB_SECRET
from cubehub.local.data_folder import DataFolder, read_json
from cubehub.local.parts import read_only_paths
from cubehub.local.platform import LOOPBACK, REALM, Platform, is_loopback
from cubehub.local.processes import PART_MARK, SERVER_MARK
from cubehub.local.proxy import proxy_command
from cubehub.quiet import quieten_refusals, quieten_rounds
from cubehub.resources import resource
from cubehub.settings import ConfigFolder
from cubehub.storage.quotas.homes import HomeLimits

if TYPE_CHECKING:
    from cubehub.directory import KeycloakDirectory
    from cubehub.secrets import Secrets

LANDING = "/services/console/"
CLI_SERVICE = "cubehub-cli"
CLI_TOKEN = "cli-token"  # noqa: S105 - the name of the file, not the secret


def configure(c: Any, source: Path | None = None) -> None:
    """Set up a Hub on one machine.

    Parameters
    ----------
    c
        The configuration object JupyterHub gives its configuration file.
    source
        The file `cubehub up` wrote for the Hub; by default the one that CUBEHUB_HUB_CONFIG names.

    Raises
    ------
    BadInputError
        There is no such file: the Hub was not started by `cubehub up`.
    """
    # the file may be read where no server part is installed
    from cubehub.directory import KeycloakDirectory  # noqa: PLC0415
    from cubehub.secrets import Secrets  # noqa: PLC0415

    path = source or Path(os.environ.get("CUBEHUB_HUB_CONFIG", ""))
    facts = read_json(path)
    if facts is None:
        raise BadInputError(
            f"No Hub settings at {str(path)!r}.", "Start the Hub with `cubehub up`, which writes them."
        )
    data = DataFolder(Path(facts["data"]))
    platform = Platform(facts["host"], facts["port"], facts["keycloak_port"], facts["inner"])
    config = ConfigFolder(Path(facts["config"]) if facts["config"] else None)
    secrets = Secrets(data.secrets)
    _addresses(c, data, platform, secrets)
    directory = KeycloakDirectory(
        platform.keycloak_url, REALM, DIRECTORY_CLIENT, secrets.get(DIRECTORY_SECRET)
    )
    _people(c, platform, secrets, directory)
    c.KeycloakAuthenticator.accounts_file = str(data.hub / "accounts.json")
    _servers(c, data, platform, config, directory)
    if not is_loopback(platform.host):
        # `cubehub up` looked whether it works; should it cease to, no server is better than an open one
        c.ProfileLocalSpawner.isolation = "required"
    c.ProfileLocalSpawner.trust_everyone = facts.get("trust_everyone", False)
    _services(c, data, platform, config, secrets)
    quieten_rounds()
    quieten_refusals()
    give_apis(c, config, directory)


def _addresses(c: Any, data: DataFolder, platform: Platform, secrets: Secrets) -> None:
    c.JupyterHub.bind_url = f"{platform.public_url}/"
    c.JupyterHub.hub_bind_url = platform.inner_url("hub_api")
    c.JupyterHub.default_url = LANDING
    c.JupyterHub.db_url = f"sqlite:///{data.hub / 'jupyterhub.sqlite'}"
    c.JupyterHub.cookie_secret_file = str(data.secrets / "hub-cookie-secret")
    secrets.get("hub-cookie-secret")
    c.JupyterHub.template_paths = [str(resource("config", "templates"))]
    c.JupyterHub.logo_file = str(Path(__file__).with_name("console") / "static" / "logo.svg")
    c.JupyterHub.cleanup_servers = True
    c.JupyterHub.activity_resolution = 30
    c.ConfigurableHTTPProxy.api_url = platform.inner_url("proxy_api")
    c.ConfigurableHTTPProxy.auth_token = secrets.get("proxy-token")
    c.ConfigurableHTTPProxy.command = proxy_command(data.node)
    c.ConfigurableHTTPProxy.check_running_interval = 2
    c.ConfigurableHTTPProxy.pid_file = str(data.run / "proxy.pid")


def _people(c: Any, platform: Platform, secrets: Secrets, directory: KeycloakDirectory) -> None:
    from cubehub.authenticator import KeycloakAuthenticator  # noqa: PLC0415 - heavy, and only the Hub needs it

    c.JupyterHub.authenticator_class = KeycloakAuthenticator
    c.KeycloakAuthenticator.keycloak_url = platform.keycloak_url
    c.KeycloakAuthenticator.public_url = platform.public_url
    c.KeycloakAuthenticator.realm = REALM
    c.KeycloakAuthenticator.client_id = HUB_CLIENT
    c.KeycloakAuthenticator.client_secret = secrets.get(HUB_SECRET)
    c.KeycloakAuthenticator.directory = directory


def _servers(
    c: Any, data: DataFolder, platform: Platform, config: ConfigFolder, directory: KeycloakDirectory
) -> None:
    from cubehub_spawner import ProfileLocalSpawner  # noqa: PLC0415 - as above

    from cubehub.storage.homecoming import homecoming  # noqa: PLC0415 - as above

    settings = config.operator_settings()
    c.JupyterHub.spawner_class = ProfileLocalSpawner
    c.JupyterHub.allow_named_servers = True
    c.Spawner.start_timeout = settings.spawn_timeout
    c.Spawner.http_timeout = settings.spawn_timeout
    c.Spawner.poll_interval = 5
    c.Spawner.default_url = "/lab"
    c.ProfileLocalSpawner.profiles_file = str(config.path("profiles.yaml"))
    c.ProfileLocalSpawner.directory = directory
    c.ProfileLocalSpawner.homes_dir = str(data.homes)
    c.ProfileLocalSpawner.home_hook = welcome
    c.ProfileLocalSpawner.homecoming_hook = homecoming(data)
    c.ProfileLocalSpawner.home_limits = HomeLimits()
    c.ProfileLocalSpawner.state_dir = str(data.servers)
    c.ProfileLocalSpawner.audit_log = str(data.logs / "audit.jsonl")
    c.ProfileLocalSpawner.lab_prefix = str(data.envs / "lab")
    catalogues = str(give_catalogues(data, config))
    c.ProfileLocalSpawner.read_only_paths = [*read_only_paths(data), catalogues]
    public = platform.public_url
    c.ProfileLocalSpawner.extra_env = {
        SERVER_MARK: data.run_id,
        "CUBEHUB_URL": public,
        "CUBEHUB_CUBES_URL": f"{public}/services/cubes",
        "CUBEHUB_STORAGE_URL": f"{public}/services/storage",
        "CUBEHUB_CATALOGUE_URL": f"{public}/services/catalogue",
        "CUBEHUB_CATALOGUES": catalogues,
        "CUBEHUB_SAMPLES": str(resource("binder", "data").resolve()),
        "DASK_GATEWAY__ADDRESS": f"{public}/services/dask-gateway",
        "DASK_GATEWAY__PUBLIC_ADDRESS": "/services/dask-gateway",
        "DASK_GATEWAY__PROXY_ADDRESS": f"gateway://{LOOPBACK}:{platform.inner['gateway_scheduler']}",
        "DASK_GATEWAY__AUTH__TYPE": "jupyterhub",
    }


def _services(c: Any, data: DataFolder, platform: Platform, config: ConfigFolder, secrets: Secrets) -> None:
    from cubehub.entitlements import WRITE_SCOPE  # noqa: PLC0415 - needs the Hub's packages

    idle = config.operator_settings().idle
    c.JupyterHub.services = [
        _service("dask-gateway", platform.inner_url("gateway"), secrets.get("gateway-token")),
        _service("cubes", platform.inner_url("cubes"), secrets.get("cubes-token")),
        _service("catalogue", platform.inner_url("catalogue"), secrets.get("catalogue-token")),
        _service("console", platform.inner_url("console"), secrets.get("console-token")),
        _service("accounts", platform.inner_url("accounts"), secrets.get("accounts-token")),
        _service("storage", platform.inner_url("storage"), secrets.get("storage-token"))
        # its pages: whoever logs in there is asked nothing more, and an administrator stays one
        | {"oauth_no_confirm": True, "oauth_client_allowed_scopes": [WRITE_SCOPE]},
        {"name": "cubehub-up", "api_token": secrets.get("up-token")},
        # for `cubehub users` and `cubehub doctor` on this machine: whoever can read the secret is the operator
        {"name": CLI_SERVICE, "api_token": secrets.get(CLI_TOKEN)},
        {
            "name": "idle-culler",
            "command": [
                sys.executable, "-m", "cubehub.local.culler",
                f"--timeout={idle.stop_after}", f"--cull-every={idle.check_every}",
            ],
            # services get a bare environment; without the mark `down` would not find it
            "environment": {PART_MARK: data.run_id},
        },
    ]  # fmt: skip
    c.JupyterHub.load_roles = [
        {
            "name": "cubehub-up",
            "services": ["cubehub-up"],
            "scopes": ["list:services", "list:users", "read:servers"],
        },
        {
            "name": "idle-culler",
            "services": ["idle-culler"],
            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        },
        {"name": "accounts", "services": ["accounts"], "scopes": [WRITE_SCOPE]},
        {"name": "cubehub-cli", "services": [CLI_SERVICE], "scopes": [WRITE_SCOPE]},
        # JupyterHub's own role for administrators can't be given scopes of ours; the group's members have both
        {"name": "cubehub-administrators", "groups": [ADMIN_GROUP], "scopes": [WRITE_SCOPE]},
        *roles_of_services(),
        *roles_of_people(),
    ]


def _service(name: str, url: str, token: str) -> dict[str, Any]:
    # they run before the Hub does; waiting long for one that crashed just then would hold everyone up
    return {
        "name": name,
        "url": url,
        "api_token": token,
        "display": name in ("cubes", "catalogue", "storage"),
    }
