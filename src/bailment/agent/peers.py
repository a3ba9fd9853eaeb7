"""Whose process is at the other end of a local connection, by the kernel's word.

A unix socket tells (SO_PEERCRED). A loopback TCP connection does not, but Linux lists every
socket with its owner in `/proc/net/tcp` and `tcp6`, and the peer's socket is on this machine.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc/net")
_ESTABLISHED = "01"
#: A table that changes while it is read may leave a line out; it does not do so often.
_LOOKS = 3

Address = tuple[str, int]


def can_tell(family: socket.AddressFamily, proc: Path = PROC) -> bool:
    """Whether this machine can say who is at the other end of such connections."""
    if family == socket.AF_UNIX:
        return hasattr(socket, "SO_PEERCRED")
    return (proc / "tcp").exists()


def peer_uid(connection: socket.socket, proc: Path = PROC) -> int | None:
    """The user id of the process that opened a connection to us; None if it cannot be told."""
    if connection.family == socket.AF_UNIX:
        credentials = connection.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
        )
        uid: int = struct.unpack("3i", credentials)[1]
        return uid
    try:
        peer, own = connection.getpeername()[:2], connection.getsockname()[:2]
    except OSError:  # it has gone already
        return None
    for _ in range(_LOOKS):
        owner = owner_of(peer, own, proc)
        if owner is not None:
            return owner
    return None


def owner_of(local: Address, remote: Address, proc: Path = PROC) -> int | None:
    """The owner of the one established TCP socket at `local` that is connected to `remote`.

    None if there is no such socket or, which should not be, several of different owners. A socket
    that its process has closed belongs to nobody, though the table gives it to root.
    """
    owners: set[int] = set()
    remotes = _as_listed(remote)
    for table, text in _as_listed(local).items():
        owners.update(_owners(proc / table, text, remotes.get(table, "")))
    return owners.pop() if len(owners) == 1 else None


def _owners(table: Path, local: str, remote: str) -> Iterator[int]:
    try:
        lines = table.read_text("ascii").splitlines()
    except OSError:  # a kernel without IPv6, or a table that we may not read
        return
    for line in lines:
        # sl: local remote state queues timer retransmits uid timeout inode ...
        fields = line.split()
        if fields[1:4] == [local, remote, _ESTABLISHED] and fields[9] != "0":
            yield int(fields[7])


def _as_listed(address: Address) -> dict[str, str]:
    """How each table writes an address: words in the machine's byte order, then the port.

    A client may have reached an IPv4 address through an IPv6 socket.
    """
    place, port = ipaddress.ip_address(address[0]), f"{address[1]:04X}"
    if place.version == 6:
        return {"tcp6": f"{_words(place.packed)}:{port}"}
    mapped = ipaddress.IPv6Address(f"::ffff:{place}")
    return {"tcp": f"{_words(place.packed)}:{port}", "tcp6": f"{_words(mapped.packed)}:{port}"}


def _words(packed: bytes) -> str:
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))
