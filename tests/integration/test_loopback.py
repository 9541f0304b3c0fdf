"""Nothing of the platform listens where another machine could reach it."""

import contextlib
import ipaddress
import struct
from pathlib import Path

import psutil
import pytest
from cubehub_tests.platform import Whole
from cubehub_tests.servers import Account

LISTEN = "0A"


def address_of(field: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an address as /proc/net/tcp and tcp6 write it: 32-bit words in the machine's byte order."""
    words = struct.pack(f"={len(field) // 8}I", *(int(field[i : i + 8], 16) for i in range(0, len(field), 8)))
    return ipaddress.ip_address(words)


def listening() -> dict[int, tuple[str, int]]:
    """Give address and port of each listening TCP socket, by inode."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN:
                address, port = fields[1].split(":")
                found[int(fields[9])] = (str(address_of(address)), int(port, 16))
    return found


def sockets_of(process: psutil.Process) -> set[int]:
    """Give the inodes of a process's sockets."""
    inodes = set()
    with contextlib.suppress(OSError):  # the process has just ended
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # it has just closed this one
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    inodes.add(int(target[8:-1]))
    return inodes


def test_addresses_are_read_as_the_kernel_writes_them() -> None:
    assert str(address_of("0100007F")) == "127.0.0.1"
    assert str(address_of("00000000")) == "0.0.0.0"  # noqa: S104 - read, not bound
    assert str(address_of("00000000000000000000000001000000")) == "::1"
    assert str(address_of("0000000000000000FFFF00000100007F")) == "::ffff:7f00:1"


@pytest.mark.whole
def test_only_loopback_listens(whole: Whole, ana: Account) -> None:
    ana.start()
    with ana.kernel() as kernel:
        assert kernel.run("print(6 * 7)").text == "42"
        table = listening()
        open_to_all = {}
        seen = set()
        for process in whole.processes():
            for inode in sockets_of(process) & set(table):
                address, port = table[inode]
                seen.add(port)
                parsed = ipaddress.ip_address(address)
                mapped = getattr(parsed, "ipv4_mapped", None) or parsed
                if not mapped.is_loopback:
                    open_to_all[f"{address}:{port}"] = " ".join(process.cmdline())[:150]
    assert whole.port in seen, "the proxy itself was not found"
    assert whole.ports["keycloak"] in seen, "Keycloak was not found"
    assert len(seen) > 8
    assert open_to_all == {}
