"""What the tests of the room share."""

import functools

import pytest
from cubehub_tests import catalogue_net


@pytest.fixture
def authority(tmp_path):
    """Two TLS contexts for given names: a client's that trusts, and a server's that shows."""
    return functools.partial(catalogue_net.authority, tmp_path)
