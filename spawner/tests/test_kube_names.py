"""Names of Kubernetes objects: accepted by the API server, and never the same for two people."""

import re

from cubehub_spawner._kube_names import claim_name, namespace_name, pod_name
from hypothesis import example, given
from hypothesis import strategies as st

VALID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
near = st.text(alphabet="ab-_@. AÄ0", max_size=6)
names = near | st.text(max_size=200)
servers = st.from_regex(r"[a-z0-9-]{0,30}", fullmatch=True)


@given(names, servers)
@example("a" * 200, "b" * 30)
@example("ünïcödé", "")
@example("-", "-")
@example("", "")
def test_valid(name, server):
    for one in (pod_name(name, server), claim_name(name), namespace_name("p" * 14 + "-", name)):
        assert VALID.fullmatch(one), one
        assert "{" not in one, "kubespawner would expand it"


@given(names, servers, names, servers)
@example("a@b", "", "a_b", "")
@example("a", "b-c", "a-b", "c")
@example("a", "b", "a--b", "")
@example("Ana", "", "ana", "")
@example("a" * 200, "", "a" * 199, "")
def test_distinct(name, server, other, other_server):
    same = (name, server) == (other, other_server)
    assert (pod_name(name, server) == pod_name(other, other_server)) == same
    assert (claim_name(name) == claim_name(other)) == (name == other)
