"""The one cluster of these tests, and two Hubs: one namespace for all, and one for each person; and a whole platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cubehub_tests.kube.cluster import Cluster, running_cluster
from cubehub_tests.kube.hub import KubeHub, running_hub
from cubehub_tests.kube.whole import running_whole_beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cubehub_tests.platform import Whole


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Give the cluster."""
    with running_cluster() as found:
        yield found


@pytest.fixture(scope="session")
def hub(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeHub]:
    """Give a Hub whose people share a namespace."""
    with running_hub(cluster, tmp_path_factory.mktemp("hub"), own_namespaces=False) as found:
        yield found


@pytest.fixture(scope="session")
def own(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeHub]:
    """Give a Hub whose people have a namespace each."""
    with running_hub(cluster, tmp_path_factory.mktemp("hub"), own_namespaces=True) as found:
        yield found


@pytest.fixture(scope="module")
def whole(cluster: Cluster) -> Iterator[Whole]:
    """Give a whole platform whose servers are pods."""
    with running_whole_beside(cluster) as found:
        yield found
