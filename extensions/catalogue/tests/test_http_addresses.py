"""Which addresses may be asked, and how an address is read."""

import ipaddress

import pytest
from cubehub_catalogue.errors import ForbiddenError
from cubehub_catalogue.http.addresses import is_public, may_be_private, read_address
from cubehub_catalogue.http.targets import Targets, read_url
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "193.40.5.1"])
def test_public(text):
    assert is_public(read_address(text))
    assert may_be_private(read_address(text))


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd12::1"]
)
def test_private(text):
    assert not is_public(read_address(text))
    assert may_be_private(read_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",  # noqa: S104 - refused, not bound to
        "169.254.169.254", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "fe80::1", "ff02::1", "fec0::1",
        "2002:7f00:1::", "2001:0:1::1", "64:ff9b::a9fe:a9fe", "::ffff:169.254.169.254", "fd00:ec2::254", "2001:db8::1",
        "64:ff9b:1::1", "100::1", "168.63.129.16",
    ],
)  # fmt: skip
def test_never(text):
    assert not may_be_private(read_address(text))
    assert text == "168.63.129.16" or not is_public(read_address(text))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_for_itself(address):
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    nat64 = ipaddress.IPv6Address(f"64:ff9b::{address}")
    assert not is_public(mapped)
    assert is_public(nat64) == is_public(address)
    assert may_be_private(mapped) == may_be_private(address)


@given(st.ip_addresses())
def test_what_python_takes_for_inner_is_never_public(address):
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        carried = isinstance(address, ipaddress.IPv6Address) and address in ipaddress.ip_network(
            "64:ff9b::/96"
        )
        assert carried or not is_public(address)


def test_only_the_usual_way_of_writing_is_read():
    for text in ("127.1", "0177.0.0.1", "2130706433", "0x7f000001", "fe80::1%eth0", "", "1.2.3.4.5", "::1%1"):
        assert read_address(text) is None


def test_own_origins_are_trusted_only_where_marked_private():
    url = read_url("http://10.0.0.1:8080/stac")
    assert Targets.of(["http://10.0.0.1:8080"], private=True).check(url)
    for targets in (
        Targets.of(["https://10.0.0.1:8080"], private=True),
        Targets.of(["http://10.0.0.1"], private=True),
        Targets.of(["http://10.0.0.1:8080"], private=False),
    ):
        with pytest.raises(ForbiddenError):
            targets.check(url)
    with pytest.raises(ForbiddenError):
        Targets.of(["http://10.0.0.1:8080"], private=True).check(url, left=True)


def test_an_own_origin_may_have_a_low_port():
    url = read_url("https://a.example:444/x")
    assert Targets.of(["https://a.example:444"], private=False).check(url) is False
    with pytest.raises(ForbiddenError, match="Port 444"):
        Targets.of(["https://b.example"], private=False).check(url)
    assert (
        Targets.of(["https://b.example"], private=False).check(read_url("https://a.example:8443/")) is False
    )


def test_names_of_other_scripts_are_looked_at_as_they_are_looked_up():
    url = read_url("https://kõrgusmudel.example/v1")
    assert Targets().check(url) is False
    assert Targets.of(["https://xn--krgusmudel-2bb.example"], private=False).is_own(url)
