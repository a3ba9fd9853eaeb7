"""Who is at the other end of a local connection."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bailment.agent import peers
from bailment.agent.peers import can_tell, owner_of, peer_uid

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"
OURS, SERVER = ("127.0.0.1", 40000), ("127.0.0.1", 8080)


@contextmanager
def connected(
    host: str, family: int, via: str = ""
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The client's and the server's end of a connection to `host`, reached as `via`."""
    with ExitStack() as stack:
        if (family == socket.AF_INET6 or via) and not _has_ipv6():
            pytest.skip("this machine has no IPv6 loopback")
        server = stack.enter_context(socket.create_server((host, 0), family=family))
        reach = socket.AF_INET6 if via else family
        client = stack.enter_context(socket.socket(reach))
        client.connect((via or host, server.getsockname()[1]))
        accepted = stack.enter_context(server.accept()[0])
        yield client, accepted


@pytest.mark.parametrize(
    ("host", "family", "via"),
    [
        ("127.0.0.1", socket.AF_INET, ""),
        ("127.0.0.2", socket.AF_INET, ""),
        ("::1", socket.AF_INET6, ""),
        ("127.0.0.1", socket.AF_INET, "::ffff:127.0.0.1"),
    ],
)
def test_the_kernel_says_that_a_connection_of_ours_is_ours(
    host: str, family: int, via: str
) -> None:
    with connected(host, family, via) as (_, accepted):
        assert peer_uid(accepted) == os.geteuid()


def test_a_unix_socket_says_it_too() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()


def test_a_peer_that_has_closed_is_nobody_and_not_root() -> None:
    with connected("127.0.0.1", socket.AF_INET) as (client, accepted):
        client.close()
        assert peer_uid(accepted) is None


def test_the_owner_asked_for_is_the_clients_and_not_the_servers(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(
        "\n".join(
            [
                HEAD,
                row("0100007F:1F90", "0100007F:9C40", uid=0),
                row("0100007F:9C40", "0100007F:1F90", uid=1234),
            ]
        )
    )
    assert owner_of(OURS, SERVER, tmp_path) == 1234


def test_an_address_reached_through_an_ipv6_socket_is_found(tmp_path: Path) -> None:
    mapped = "0000000000000000FFFF00000100007F"
    (tmp_path / "tcp").write_text(HEAD)
    (tmp_path / "tcp6").write_text(row(f"{mapped}:9C40", f"{mapped}:1F90", uid=7))
    assert owner_of(OURS, SERVER, tmp_path) == 7


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ["", "garbage", "0: 0100007F:9C40"],
        # TIME_WAIT, for which the table says root
        [("0100007F:9C40", "0100007F:1F90", 0, "06", "0")],
        # closed by its process
        [("0100007F:9C40", "0100007F:1F90", 0, "01", "0")],
        # another port, another address, another server
        [("0100007F:9C41", "0100007F:1F90", 1, "01", "5")],
        [("0200007F:9C40", "0100007F:1F90", 1, "01", "5")],
        [("0100007F:9C40", "0100007F:1F91", 1, "01", "5")],
        # two owners
        [
            ("0100007F:9C40", "0100007F:1F90", 1, "01", "5"),
            ("0100007F:9C40", "0100007F:1F90", 2, "01", "6"),
        ],
    ],
)
def test_in_doubt_it_is_nobody(rows: list[object], tmp_path: Path) -> None:
    lines = [line if isinstance(line, str) else row(*line) for line in rows]
    (tmp_path / "tcp").write_text("\n".join([HEAD, *lines]))
    assert owner_of(OURS, SERVER, tmp_path) is None


def test_without_the_tables_it_is_nobody(tmp_path: Path) -> None:
    assert owner_of(OURS, SERVER, tmp_path / "none") is None
    assert not can_tell(socket.AF_INET, tmp_path / "none")


def test_it_looks_again_when_a_line_was_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([None, None, 5])
    monkeypatch.setattr(peers, "owner_of", lambda *_: next(found))
    with connected("127.0.0.1", socket.AF_INET) as (_, accepted):
        assert peer_uid(accepted) == 5


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def row(local: str, remote: str, uid: int, state: str = "01", inode: str = "99") -> str:
    """A line as `/proc/net/tcp` has it on a little-endian machine."""
    return (
        f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 "
        f"{uid:5d}        0 {inode} 1 0000000000000000 20 4 30 10 -1"
    )
