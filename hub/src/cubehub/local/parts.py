"""What `cubehub up` runs, and the configuration each part is given."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from cubehub.catalogue_list import given_folders
from cubehub.cube_list import public_items
from cubehub.keycloak.realm import ACCOUNTS_CLIENT, ACCOUNTS_SECRET, REALM
from cubehub.local.data_folder import write_json
from cubehub.local.environments import base_python
from cubehub.local.platform import LOOPBACK
from cubehub.local.processes import PART_MARK
from cubehub.local.proxy import NODE
from cubehub.local.supervisor import Part
from cubehub.resources import resource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from cubehub.keycloak.server import KeycloakServer
    from cubehub.local.data_folder import DataFolder
    from cubehub.local.platform import Platform
    from cubehub.secrets import Secrets
    from cubehub.settings import ConfigFolder


def part_environment(run_id: str, extra: dict[str, str]) -> dict[str, str]:
    """Environment of a part: what any program needs, the mark, and what is said explicitly."""
    kept = {
        name: os.environ[name]
        for name in ("HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "XDG_RUNTIME_DIR")
        if name in os.environ
    }
    path = f"{NODE.parent}:{os.environ.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", PART_MARK: run_id, **extra}


def read_only_paths(data: DataFolder) -> list[str]:
    """What a person's server may read besides the system: environments, base Python, examples, samples."""
    base = base_python()
    prefix = os.path.dirname(os.path.dirname(base))  # noqa: PTH120 - realpath already taken
    paths = [str(data.envs / "lab"), str(data.envs / "cubes"), str(resource("binder").resolve())]
    if not prefix.startswith("/usr"):
        paths.append(prefix)
    return paths


def write_run_files(
    data: DataFolder,
    platform: Platform,
    config: ConfigFolder,
    secrets: Secrets,
    *,
    trust_everyone: bool = False,
) -> dict[str, Path]:
    """Write the configuration file of each part (0600; some hold tokens) and give their paths."""
    cubes_yaml = config.path("cubes.yaml")
    samples = resource("binder", "data", "s2-l2a-33t-crop").resolve()
    common = {"address": LOOPBACK, "public_url": platform.public_url}
    content: dict[str, dict[str, object]] = {
        "cubes": {
            **common,
            "port": platform.inner["cubes"],
            "prefix": "/services/cubes",
            "cubes_dir": str(data.cubes),
            "cubes_yaml": str(cubes_yaml),
            "issuer": platform.issuer,
            "client_id": "cubehub-cubes",
            "audience": "cubehub-cubes",
            "state_dir": str(data.run / "cubes"),
            "hub_api_url": platform.hub_api_url,
            "hub_api_token": secrets.get("cubes-token"),
        },
        "catalogue": {
            **common,
            "port": platform.inner["catalogue"],
            "prefix": "/services/catalogue",
            "state_dir": str(data.catalogue),
            "items": [
                *public_items(cubes_yaml, data.cubes),
                # of what people published for everybody; the cube server puts them there and takes them away
                str(data.cubes / "published" / "items"),
                str(samples / "items"),
            ],
            # what the samples' items point to, so that code for them works without any other host
            "files": {**given_folders(config), "samples": str(samples / "pixels")},
            "static_only": False,
            "hub_api_url": platform.hub_api_url,
            "hub_api_token": secrets.get("catalogue-token"),
            # of what people published for some: each says for whom
            "shared": [str(data.cubes / "published" / "items-for-some")],
        },
        "gateway": {
            **common,
            "port": platform.inner["gateway"],
            "prefix": "/services/dask-gateway",
            "hub_api_url": platform.hub_api_url,
            "hub_api_token": secrets.get("gateway-token"),
            "scheduler_proxy_port": platform.inner["gateway_scheduler"],
            "state_dir": str(data.gateway),
            "worker_env_prefix": str(data.envs / "lab"),
            # not the published cubes: some are protected, and workers read them through the cube server as anyone does
            "read_only_paths": [str(resource("binder").resolve())],
        },
        "console": {
            **common,
            "port": platform.inner["console"],
            "prefix": "/services/console",
            "keycloak_url": platform.keycloak_url,
            "issuer": platform.issuer,
            "title": config.operator_settings().title,
            "catalogue_health": f"{platform.inner_url('catalogue')}/services/catalogue/health",
            "profiles_yaml": str(config.path("profiles.yaml")),
            "cubes_yaml": str(cubes_yaml),
        },
        "accounts": {
            "address": LOOPBACK,
            "port": platform.inner["accounts"],
            "prefix": "/services/accounts",
            "hub_api_url": platform.hub_api_url,
            "hub_api_token": secrets.get("accounts-token"),
            "gateway_url": f"{platform.inner_url('gateway')}/services/dask-gateway",
            "keycloak_url": platform.keycloak_url,
            "realm": REALM,
            "client_id": ACCOUNTS_CLIENT,
            "client_secret": secrets.get(ACCOUNTS_SECRET),
            "profiles_yaml": str(config.path("profiles.yaml")),
            "audit_log": str(data.logs / "audit.jsonl"),
            "check_every_s": config.operator_settings().entitlement.check_every,
        },
        "storage": {
            "data": str(data.root),
            "homes": str(data.homes),
            "state": str(data.storage),
            "audit_log": str(data.logs / "audit.jsonl"),
            "config": str(config.own) if config.own else None,
            "address": LOOPBACK,
            "port": platform.inner["storage"],
            "prefix": "/services/storage",
            "public_url": platform.public_url,
            "hub_api_url": platform.hub_api_url,
            "hub_api_token": secrets.get("storage-token"),
            "accounts_url": f"{platform.inner_url('accounts')}/services/accounts/api",
            "links_secret": secrets.get("storage-links"),
        },
        "hub": {
            "data": str(data.root),
            "run_id": data.run_id,
            "config": str(config.own) if config.own else None,
            "host": platform.host,
            "port": platform.port,
            "keycloak_port": platform.keycloak_port,
            "inner": platform.inner,
            "trust_everyone": trust_everyone,
        },
    }
    files = {}
    for name, values in content.items():
        files[name] = data.run / f"{name}.json"
        write_json(files[name], values)
    return files


def build_parts(
    data: DataFolder,
    platform: Platform,
    keycloak: KeycloakServer,
    config: ConfigFolder,
    files: dict[str, Path],
    secrets: Secrets,
    on_keycloak: Callable[[], Awaitable[None]],
) -> list[Part]:
    """Describe every part the supervisor runs; the Hub comes last, when all it points to answers."""
    environment = partial(part_environment, data.run_id)
    logs = data.logs
    services = {
        "catalogue": [str(data.envs / "catalogue/bin/cubehub-stac"), "--config", str(files["catalogue"])],
        "cubes": [str(data.envs / "cubes/bin/cubehub-cube-server"), "--config", str(files["cubes"])],
        "gateway": [
            str(data.envs / "gateway/bin/dask-gateway-server"),
            "-f",
            str(config.path("dask_gateway_config.py")),
        ],
        "console": [sys.executable, "-m", "cubehub.console", "--config", str(files["console"])],
        "accounts": [sys.executable, "-m", "cubehub.accounts", "--config", str(files["accounts"])],
        "storage": [sys.executable, "-m", "cubehub.storage.service", "--config", str(files["storage"])],
    }
    prefixes = {"gateway": "/services/dask-gateway/api/health"}
    parts = [
        Part(
            "keycloak",
            keycloak.command(),
            environment(keycloak.environment()),
            logs / "keycloak.log",
            (keycloak.health_url,),
            on_healthy=on_keycloak,
        )
    ]
    for name, command in services.items():
        extra = {"CUBEHUB_GATEWAY_CONFIG": str(files["gateway"])} if name == "gateway" else {}
        health = platform.inner_url(name) + prefixes.get(name, f"/services/{name}/health")
        parts.append(
            Part(
                name, command, environment(extra), logs / f"{name}.log", (health,), folder=_folder(data, name)
            )
        )
    parts.append(
        Part(
            "hub",
            [sys.executable, "-m", "jupyterhub", "-f", str(config.path("jupyterhub_config.py"))],
            environment(
                {"CUBEHUB_HUB_CONFIG": str(files["hub"]), "JUPYTERHUB_CRYPT_KEY": secrets.get("crypt-key")}
            ),
            logs / "hub.log",
            (f"{platform.inner_url('hub_api')}/hub/health", f"{platform.public_url}/hub/health"),
            after=frozenset({"keycloak", *services}),
            folder=data.hub,
            # killed at once, without its tidying up: people's servers stay for the Hub of the next start
            parent_death=signal.SIGKILL,
        )
    )
    return parts


def _folder(data: DataFolder, name: str) -> Path:
    return data.gateway if name == "gateway" else data.run
