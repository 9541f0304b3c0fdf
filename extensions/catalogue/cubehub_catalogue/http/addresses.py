"""Which addresses of the network may be asked: pure, and strict where it is in doubt."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by a provider's customers; some clouds put their metadata there
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, metadata of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, ORCHID and others that carry or stand for something else
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries an IPv4 address; nothing public is reached by it any more (RFC 7526)
        "3fff::/20",
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)
_NEVER_4 = tuple(
    ipaddress.IPv4Network(text) for text in ("0.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "224.0.0.0/3")
)
_PRIVATE_6 = tuple(ipaddress.IPv6Network(text) for text in ("::1/128", "fc00::/7"))
_METADATA_6 = ipaddress.IPv6Address("fd00:ec2::254")


def read_address(text: str) -> Address | None:
    """Read an address written in the one usual way; None for what is none, is written otherwise, or names an interface."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if isinstance(found, ipaddress.IPv6Address) and found.scope_id else found


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet.

    Notes
    -----
    The lists are written out: what `ipaddress` takes for global differs between versions of Python. For IPv6 only what
    is assigned for public use counts, and an IPv4 address inside one is judged for itself.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id:
        return False
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address not in _GLOBAL_UNICAST or any(address in network for network in _NOT_PUBLIC_6):
        return False
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return False
    return address.is_global


def may_be_private(address: Address) -> bool:
    """Whether a catalogue that is marked private may stand there: public, private or loopback.

    Notes
    -----
    Never link-local: that is where clouds hand out their machines' credentials, and no catalogue is.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NEVER_4)
    if address.scope_id or address == _METADATA_6:
        return False
    if address.ipv4_mapped is not None:
        return may_be_private(address.ipv4_mapped)
    if address in _NAT64:
        return may_be_private(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return is_public(address) or any(address in network for network in _PRIVATE_6)
