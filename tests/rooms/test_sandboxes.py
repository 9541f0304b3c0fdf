"""Two rooms that may not import one another shut processes in with bubblewrap: what one forbids, the other forbids."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cubehub_spawner.isolation import isolate
from cubehub_tests.platform import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

GATEWAYS = REPOSITORY / "images/gateway/src/cubehub_gateway/sandbox.py"
WITH_VALUES = ("--uid", "--gid", "--cap-drop", "--proc", "--dev", "--remount-ro")
WORK = Path("/srv/work")


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Give the gateway's module; it asks for nothing but the standard library."""
    spec = importlib.util.spec_from_file_location("sandbox_of_the_gateway", GATEWAYS)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def restrictions(argv: list[str]) -> set[tuple[str, ...]]:
    """What is forbidden or made empty, without what is shown."""
    alone = {(word,) for word in argv if word.startswith("--unshare-")}
    alone |= {(word,) for word in ("--disable-userns", "--die-with-parent", "--new-session") if word in argv}
    return alone | {(name, argv[argv.index(name) + 1]) for name in WITH_VALUES if name in argv}


def shown(argv: list[str]) -> set[tuple[str, str]]:
    """What of the machine is seen, and as what."""
    return {
        (argv[place + 1], argv[place + 2])
        for place, word in enumerate(argv)
        if word.startswith(("--ro-bind", "--bind", "--dev-bind"))
    }


@pytest.mark.parametrize("disables_userns", [True, False])
def test_a_cluster_is_shut_in_as_a_server_is(gateway: ModuleType, disables_userns: bool) -> None:
    sandbox = gateway.Sandbox(("bwrap",), works=True, disables_userns=disables_userns)
    identity = Path("/srv/identity")
    cluster = gateway.bwrap_prefix(sandbox, identity=identity, read_only=[], workdir=WORK)
    server = isolate(
        [], read_write=[WORK], program="bwrap", disables_userns=disables_userns, die_with_parent=True
    )
    assert restrictions(cluster) == restrictions(server)
    own = {(str(identity / name), f"/etc/{name}") for name in ("passwd", "group")}
    more = {entry for entry in shown(cluster) - own - shown(server) if Path(entry[0]).exists()}
    assert not more, "a cluster sees what a server does not"
    in_proc = [
        {inside for _, inside in shown(argv) if inside.startswith("/proc/")} for argv in (cluster, server)
    ]
    assert in_proc[0] == in_proc[1]
