"""The storage keeper as operators apply it (config/kubernetes/storage), on folders of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uv import find_uv_bin

from cubehub_tests.kube.cluster import CHECKOUT, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cubehub_tests.kube.cluster import Cluster

NAMESPACE = "cubehub"
ROUNDS, DESK = "cronjob/storage-rounds", "deployment/storage-desk"
_MANIFESTS = CHECKOUT / "config" / "kubernetes"
_PROGRAM = """\
#!/usr/bin/python3
from cubehub.cli import main
if __name__ == "__main__":
    main()
"""
_PYTHON = "3.11"
"""Of the tests' image."""


@dataclass
class Keeper:
    """A keeper in the cluster whose volumes are folders of this machine."""

    cluster: Cluster
    homes: Path
    state: Path

    def begin(self, name: str) -> None:
        """Start a round by hand, as the documentation says."""
        self._kubectl("create", "job", name, f"--from={ROUNDS}")

    def running(self, name: str) -> str:
        """Wait until the pod of a round runs, and name it."""

        def found() -> str:
            pods = self._pods(name)
            phase = pods[0]["status"]["phase"] if pods else ""
            assert phase not in {"Succeeded", "Failed"}, self.said()
            return pods[0]["metadata"]["name"] if phase == "Running" else ""

        return str(until(found, f"the pod of {name} runs", 60))

    def ended(self, name: str) -> tuple[int, str]:
        """Wait until a round has ended: its exit code and what it said."""

        def state() -> Any:
            pods = self._pods(name)
            containers = pods[0]["status"].get("containerStatuses", []) if pods else []
            return containers[0]["state"].get("terminated") if containers else None

        code = until(state, f"{name} has ended", 80)["exitCode"]
        return code, self._kubectl("logs", f"job/{name}")

    def job(self, name: str) -> Any:
        """Read a round's job."""
        return self.cluster.get("job", name, NAMESPACE)

    def inside(self, where: str, *command: str, check: bool = True) -> str:
        """Run a command in a pod, or at the desk."""
        return self._kubectl("exec", where, "--", *command, check=check)

    @contextmanager
    def desk(self) -> Iterator[None]:
        """Have the desk, as the documentation says."""
        self._kubectl("scale", DESK, "--replicas=1")
        self._kubectl("rollout", "status", DESK, "--timeout=60s")
        yield
        self._kubectl("scale", DESK, "--replicas=0")

    def cubehub(self, *words: str) -> Any:
        """Run `cubehub storage … --json` at the desk."""
        return json.loads(self.inside(DESK, "cubehub", "storage", *words, "--json"))

    def said(self) -> str:
        """What all pods of the keeper said, and what the cluster said of them."""
        logs = self._kubectl("logs", "-l", "component=storage-keeper", "--prefix", "--tail=50", check=False)
        return logs + self._kubectl("get", "events", "--field-selector", "type=Warning", check=False)

    def _kubectl(self, *words: str, check: bool = True) -> str:
        return self.cluster.kubectl("-n", NAMESPACE, *words, check=check)

    def _pods(self, name: str) -> list[Any]:
        label = f"batch.kubernetes.io/job-name={name}"
        return list(json.loads(self._kubectl("get", "pods", "-l", label, "-o", "json"))["items"])


@contextmanager
def running_keeper(cluster: Cluster, root: Path, policy: str, iops: int) -> Iterator[Keeper]:
    """Apply the manifests with this `storage.yaml` and a bound for scans; afterwards all of it is gone.

    Notes
    -----
    The tests' image has no `cubehub`: the program and what it needs come from this machine. Rounds are begun by hand only.
    """
    keeper = Keeper(cluster, root / "homes", root / "state")
    for folder in (keeper.homes, keeper.state, root / "bin", root / "overlay"):
        folder.mkdir(mode=0o755)
    program = root / "bin" / "cubehub"
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    _install(root / "site")
    (root / "overlay" / "storage.yaml").write_text(policy)
    (root / "overlay" / "kustomization.yaml").write_text(json.dumps(_overlay(cluster, root, iops)))
    cluster.kubectl("apply", "-k", str(_MANIFESTS / "shared"))
    volumes = [
        _volume("cubehub-homes", "ReadWriteMany", keeper.homes),
        _volume("cubehub-state-of-the-tests", "ReadWriteOnce", keeper.state),
    ]
    try:
        cluster.apply(*volumes)
        cluster.kubectl("apply", "-k", str(root / "overlay"))
        yield keeper
    finally:
        print(keeper.said())
        cluster.kubectl("delete", "-k", str(root / "overlay"), "--ignore-not-found", "--timeout=60s")
        cluster.kubectl("delete", "pv", *(one["metadata"]["name"] for one in volumes), "--ignore-not-found")


def _install(site: Path) -> None:
    """What `cubehub` needs, as locked, for the image's Python; of this checkout what says which version it is."""
    locked = ["export", "--frozen", "--quiet", "--package", "cubehub", "--extra", "server", "--no-dev"]
    needs = subprocess.run(
        [find_uv_bin(), *locked, "--no-hashes"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    install = ["pip", "install", "--quiet", "--python", sys.executable, "--python-version", _PYTHON]
    subprocess.run(
        [find_uv_bin(), *install, "--target", site, "-r", "-"],
        cwd=CHECKOUT, input=needs, text=True, check=True, timeout=300,
    )  # fmt: skip


def _volume(name: str, mode: str, folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "5Gi"}, "accessModes": [mode], "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }  # fmt: skip


def _overlay(cluster: Cluster, root: Path, iops: int) -> dict[str, Any]:
    base = os.path.relpath(_MANIFESTS / "storage", (root / "overlay").resolve())
    rounds, desk = "/spec/jobTemplate/spec/template/spec", "/spec/template/spec"
    state: list[dict[str, Any]] = [
        {"op": "add", "path": "/spec/storageClassName", "value": ""},
        {"op": "add", "path": "/spec/volumeName", "value": "cubehub-state-of-the-tests"},
    ]
    command = f"{rounds}/containers/0/command/-"
    bound: list[dict[str, Any]] = [
        {"op": "replace", "path": "/spec/suspend", "value": True},
        {"op": "add", "path": command, "value": "--iops"},
        {"op": "add", "path": command, "value": str(iops)},
    ]
    return {
        "namespace": NAMESPACE,
        "resources": [base],
        "configMapGenerator": [{"name": "storage-config", "behavior": "merge", "files": ["storage.yaml"]}],
        "patches": [
            _patch("CronJob", [*_program(cluster, root, rounds), *bound]),
            _patch("Deployment", _program(cluster, root, desk)),
            _patch("PersistentVolumeClaim", state, "storage-state"),
        ],
    }


def _patch(kind: str, operations: list[dict[str, Any]], name: str = "") -> dict[str, Any]:
    return {
        "target": {"kind": kind, **({"name": name} if name else {})},
        "patch": json.dumps(operations),
    }


def _program(cluster: Cluster, root: Path, spec: str) -> list[dict[str, Any]]:
    """Put this checkout's `cubehub` into the pod of a template."""
    places = {
        "bin": (root / "bin", "/usr/local/bin", True),
        "hub": (CHECKOUT / "hub", "/checkout/hub", True),
        "spawner": (CHECKOUT / "spawner", "/checkout/spawner", True),
        "shipped": (CHECKOUT / "config", "/checkout/config", True),
        "site": (root / "site", "/site", False),  # its bytecode is written by the first pod
    }
    path = "/checkout/hub/src:/checkout/spawner/src:/site"
    container = f"{spec}/containers/0"
    operations: list[dict[str, Any]] = [
        {"op": "replace", "path": f"{container}/image", "value": cluster.image},
        {"op": "add", "path": f"{container}/env/-", "value": {"name": "PYTHONPATH", "value": path}},
    ]
    for name, (folder, at, read_only) in places.items():
        volume = {"name": name, "hostPath": {"path": str(folder), "type": "Directory"}}
        mount = {"name": name, "mountPath": at, "readOnly": read_only}
        operations += [
            {"op": "add", "path": f"{spec}/volumes/-", "value": volume},
            {"op": "add", "path": f"{container}/volumeMounts/-", "value": mount},
        ]
    return operations
