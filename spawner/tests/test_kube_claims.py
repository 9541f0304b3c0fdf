"""The size of a person's claim follows the profile upwards, and keeps nobody from their server."""

import asyncio
import logging
from types import SimpleNamespace

import pytest
from cubehub_spawner._kube_claims import grow_claim, growth
from kubernetes_asyncio.client import ApiException

GIB = 2**30


def claim(asked, given=None):
    status = {"capacity": {"storage": given}} if given else {}
    return {"spec": {"resources": {"requests": {"storage": asked}}}, "status": status}


def test_a_claim_grows_and_never_shrinks():
    assert growth(claim("10Gi", "10Gi"), 10 * GIB) is None
    assert growth(claim("10Gi", "12Gi"), 50 * GIB) == {
        "spec": {"resources": {"requests": {"storage": str(50 * GIB)}}}
    }
    assert growth(claim("10Gi", "12Gi"), 11 * GIB) is None, "it has that already"
    assert growth(claim("50Gi"), 10 * GIB) is None
    with pytest.raises(ValueError, match="no size"):
        growth({"spec": {}}, GIB)


class Api:
    """Answers as the API server does."""

    def __init__(self, found, refusal=None):
        self.found, self.refusal, self.sent = found, refusal, []
        self.api_client = SimpleNamespace(sanitize_for_serialization=lambda one: one)

    async def read_namespaced_persistent_volume_claim(self, name, namespace):  # noqa: ARG002
        if self.found is None:
            raise ApiException(status=404, reason="Not Found")
        return self.found

    async def patch_namespaced_persistent_volume_claim(self, name, namespace, body):
        if self.refusal is not None:
            raise self.refusal
        self.sent.append((name, namespace, body))


def grow(api, caplog):
    with caplog.at_level(logging.INFO):
        return asyncio.run(grow_claim(api, "people", "home-1", 50 * GIB, logging.getLogger("test")))


def test_what_is_too_small_is_asked_to_grow_once(caplog):
    api = Api(claim("10Gi"))
    assert grow(api, caplog)
    assert [(name, namespace) for name, namespace, _ in api.sent] == [("home-1", "people")]
    assert not grow(Api(claim("50Gi")), caplog)


@pytest.mark.parametrize(
    "refusal",
    [ApiException(status=403, reason="only dynamically provisioned pvc can be resized"), TimeoutError()],
)
def test_a_cluster_that_lets_none_grow_is_logged_and_no_more(refusal, caplog):
    assert not grow(Api(claim("10Gi"), refusal), caplog)
    assert "keeps its size" in caplog.text


def test_a_volume_of_the_operators_own_has_no_claim(caplog):
    assert not grow(Api(None), caplog)
    assert caplog.text == ""
