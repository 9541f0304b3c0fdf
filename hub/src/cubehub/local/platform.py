"""Addresses of one machine's CubeHub: chosen once, kept over restarts, the same for every part."""

from __future__ import annotations

import secrets
import socket
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import psutil

from cubehub.errors import BadInputError, CubeHubError
from cubehub.local.data_folder import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = "127.0.0.1"
REALM = "cubehub"
FIRST_PORT = 8000
"""The port for people where nobody says another."""
HIGHEST_PORT = 65000
"""The highest port for people; Keycloak takes the one above where it can."""
PORTS = range(10_000, 30_000)
"""Where ports for parts are chosen: below those that Linux gives to connections. Among these, whoever asks whether a
part is up can get that part's port as their own end, be connected to themselves, and keep the part from starting."""
INNER = (
    "hub_api",
    "proxy_api",
    "keycloak_health",
    "cubes",
    "catalogue",
    "gateway",
    "gateway_scheduler",
    "console",
    "accounts",
    "storage",
)
"""Parts that listen on loopback only and are reached through the Hub's proxy (or by their neighbours)."""

_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""As Java's `isSiteLocalAddress`, which Keycloak goes by; Python's `is_private` has more."""


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    return _obstacle(host, port) is None


def _obstacle(host: str, port: int) -> OSError | UnicodeError | None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, UnicodeError) as error:  # the latter from a name that is none
            return error
    return None


def own_addresses() -> list[str]:
    """IPv4 addresses of this machine that others in a private network could reach it by."""
    found = {
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET
    }
    return sorted(address for address in found if is_private(address) and not is_loopback(address))


def is_private(host: str) -> bool:
    """Whether Keycloak takes unencrypted log-ins from the address (its `sslRequired: external`): loopback and private networks."""
    address = ip_address(socket.gethostbyname(host))
    return address.is_loopback or any(address in network for network in _PRIVATE)


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach the address or name.

    Raises
    ------
    OSError
        No such name is known here.
    """
    return ip_address(socket.gethostbyname(host)).is_loopback


def check_host(host: str) -> None:
    """Refuse what cannot be the address that people type and that tokens name.

    Raises
    ------
    BadInputError
        It is every address at once, an IPv6 address, a public one, or not one of this machine.
    """
    hint = f"Name one of its addresses with --host: {', '.join([LOOPBACK, *own_addresses()])}."
    if ":" in host:
        raise BadInputError(f"{host} is an IPv6 address; CubeHub on one machine speaks IPv4.", hint)
    if not host or _obstacle(host, 0) is not None:
        raise BadInputError(f"{host!r} is not an address of this machine.", hint)
    if ip_address(socket.gethostbyname(host)).is_unspecified:
        raise BadInputError(
            f"{host} means every address of this machine; links and logins need the one that people type.",
            hint,
        )
    if not is_private(host):
        raise BadInputError(
            f"{host} is a public address; without TLS, Keycloak takes passwords from private networks only.",
            hint,
        )


def free_port(host: str, taken: set[int]) -> int:
    """A random port that is free and not promised to another part, in `PORTS`."""
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        if port not in taken and is_free(host, port):
            return port


@dataclass(frozen=True)
class Platform:
    """Where everything of one machine listens."""

    host: str
    """Address people use; loopback unless the operator says otherwise."""
    port: int
    """Port of the one address (the Hub's proxy)."""
    keycloak_port: int
    """Port of Keycloak, on the same address."""
    inner: dict[str, int]
    """Port of each part in `INNER`, on loopback."""

    @property
    def public_url(self) -> str:
        """The one address, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    @property
    def keycloak_url(self) -> str:
        """Keycloak's own address."""
        return f"http://{self.host}:{self.keycloak_port}"

    @property
    def issuer(self) -> str:
        """The realm's issuer, as tokens name it."""
        return f"{self.keycloak_url}/realms/{REALM}"

    @property
    def hub_api_url(self) -> str:
        """The Hub's API for parts on this machine, without the detour through the proxy."""
        return f"http://{LOOPBACK}:{self.inner['hub_api']}/hub/api"

    def inner_url(self, part: str) -> str:
        """Address of a part on loopback."""
        return f"http://{LOOPBACK}:{self.inner[part]}"


def check_port(host: str, port: int) -> None:
    """Refuse a port for people that can't be had.

    Raises
    ------
    CubeHubError
        Another program listens there, or only root may.
    """
    obstacle = _obstacle(host, port)
    if isinstance(obstacle, PermissionError):
        raise CubeHubError(
            f"Port {port} is kept for root on this machine.",
            "Choose one from 1024 up with --port, such as --port 8000.",
            code="port_reserved",
        )
    if obstacle is not None:
        other = port + 10 if port + 10 <= HIGHEST_PORT else port - 10
        raise CubeHubError(
            f"Port {port} on {host} is in use: by another program, or another CubeHub.",
            f"Choose another with --port, such as --port {other}.",
            code="port_in_use",
        )


def last_port(file: Path) -> int | None:
    """Tell the port for people of the last start; None where nobody ever started, or it is not known any more."""
    port = (read_json(file) or {}).get("port")
    return port if isinstance(port, int) and 0 < port <= HIGHEST_PORT else None


def choose_platform(file: Path, host: str, port: int) -> Platform:
    """Choose the ports, keeping those of the last start where they are still free.

    Notes
    -----
    They are kept because people's servers outlive the Hub and go on calling it at the port they were told.

    Raises
    ------
    BadInputError
        The host is not one address of this machine.
    CubeHubError
        See `check_port`.
    """
    check_host(host)
    check_port(host, port)
    kept = {
        name: number
        for name, number in (read_json(file) or {}).items()
        if isinstance(number, int) and 0 < number < 65536
    }
    taken = {port}
    keycloak_port = kept.get("keycloak", port + 1)
    if keycloak_port in taken or not is_free(host, keycloak_port):
        keycloak_port = free_port(host, taken)
    taken.add(keycloak_port)
    inner = {}
    for part in INNER:
        wanted = kept.get(part)
        if wanted is None or wanted in taken or not is_free(LOOPBACK, wanted):
            wanted = free_port(LOOPBACK, taken)
        taken.add(wanted)
        inner[part] = wanted
    write_json(file, {"port": port, "keycloak": keycloak_port, **inner})
    return Platform(host, port, keycloak_port, inner)
