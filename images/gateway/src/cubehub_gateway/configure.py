"""From CubeHub's JSON (`DATA/run/gateway.json`) to Dask Gateway's traits."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from cubehub_gateway.auth import HubAuthenticator
from cubehub_gateway.backend import SandboxBackend, die_with_parent
from cubehub_gateway.sandbox import Sandbox, probe_sandbox

IDLE_TIMEOUT_S = 600


def configure(c: Any, path: Path | None = None) -> None:
    """Fill the traitlets config `c` from the JSON file that `CUBEHUB_GATEWAY_CONFIG` names.

    Raises
    ------
    SystemExit
        When the file is missing or lacks a key; the text says which.
    """
    die_with_parent(signal.SIGTERM)
    try:
        source = path or Path(os.environ["CUBEHUB_GATEWAY_CONFIG"])
        settings = json.loads(source.read_text(encoding="utf-8"))
        _apply(c, settings)
    except KeyError as error:
        raise SystemExit(
            f"error: the gateway's configuration lacks {error}\nhint: `cubehub up` writes it"
        ) from error
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: the gateway's configuration can't be read: {error}") from error


def _apply(c: Any, settings: dict[str, Any]) -> None:
    address, environment = settings["address"], Path(settings["worker_env_prefix"])
    dask = str(environment / "bin" / "dask")
    clusters = Path(settings["state_dir"], "clusters")
    clusters.mkdir(mode=0o700, parents=True, exist_ok=True)

    c.DaskGateway.backend_class = SandboxBackend
    c.DaskGateway.authenticator_class = HubAuthenticator
    c.HubAuthenticator.jupyterhub_api_url = settings["hub_api_url"].rstrip("/")
    c.HubAuthenticator.jupyterhub_api_token = settings["hub_api_token"]
    c.HubAuthenticator.jupyterhub_service_name = settings.get("service_name", "dask-gateway")
    # The Hub's proxy reaches the Go proxy here; the Python server behind it takes a free loopback port.
    c.DaskGateway.address = f"{address}:0"
    c.Proxy.address = f"{address}:{settings['port']}"
    c.Proxy.prefix = settings["prefix"].rstrip("/")
    c.Proxy.tcp_address = f"{address}:{settings['scheduler_proxy_port']}"
    c.Proxy.proxy_status_period = 2

    c.SandboxBackend.clusters_directory = str(clusters)
    c.SandboxBackend.notes_directory = str(Path(settings["state_dir"], "groups"))
    c.SandboxBackend.identity_directory = str(Path(settings["state_dir"], "identity"))
    c.SandboxBackend.worker_environment = str(environment)
    c.SandboxBackend.read_only_paths = settings.get("read_only_paths", [])
    c.SandboxBackend.hub_api_url = settings["hub_api_url"].rstrip("/")
    c.SandboxBackend.hub_api_token = settings["hub_api_token"]
    c.SandboxBackend.machine_cores, c.SandboxBackend.machine_memory = _machine()
    c.SandboxBackend.sandbox = _sandbox(settings)
    c.SandboxBackend.inherited_environment = ["LANG", "LC_ALL"]
    # All clusters must be gone within the ten seconds the Hub waits for a service.
    c.SandboxBackend.sigint_timeout, c.SandboxBackend.sigterm_timeout, c.SandboxBackend.sigkill_timeout = (
        2,
        2,
        2,
    )
    c.SandboxBackend.worker_status_period = c.SandboxBackend.cluster_status_period = 5
    # In Dask 2026 `dask-scheduler` and `dask-worker` are gone.
    c.ClusterConfig.scheduler_cmd = [dask, "scheduler"]
    c.ClusterConfig.worker_cmd = [dask, "worker"]
    c.ClusterConfig.idle_timeout = settings.get("idle_timeout_s", IDLE_TIMEOUT_S)


def _sandbox(settings: dict[str, Any]) -> Sandbox:
    """Read `isolation`: null for none, pieces as given; left out: bubblewrap, unless it certainly can't work here."""
    if "isolation" in settings:
        given = settings["isolation"]
        return probe_sandbox(given) if given else Sandbox(reason="switched off by `isolation`")
    program = shutil.which("bwrap")
    if program is None:
        return Sandbox(reason="bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap)")
    found = probe_sandbox([program])
    if found.works or not found.certain:
        return found
    return Sandbox(reason=f"bubblewrap can't work here: {found.reason}")


def _machine() -> tuple[int, int]:
    """Cores that may be used, and all of the memory in bytes."""
    return len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
