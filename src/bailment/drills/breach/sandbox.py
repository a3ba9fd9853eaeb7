"""Keeps a process of an attacker's away from all but what an attacker would have.

Landlock (`man 7 landlock`) confines files, and seccomp (`man 2 seccomp`) closes unix sockets, whose
paths Landlock does not look at; both work for any user. Where the kernel has no Landlock, root can
become nobody. What was possible is said, and tried: see `probe`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

Protection = Literal["landlock", "user", "none"]

#: Their numbers are the same on every architecture.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, read a folder
_FILES_ONLY = 1 << 0 | 1 << 1 | 1 << 2
#: Signals and abstract sockets of others (from version 6 on).
_SCOPES = 0b11
#: What an interpreter reads of a system.
_SYSTEM = (
    *("/usr", "/lib", "/lib64", "/bin", "/opt/python"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/localtime", "/etc/mime.types"),
    *("/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf"),
    *("/dev/urandom", "/dev/random"),
)
#: By machine: its audit number, and the numbers of socket(2) and io_uring_setup(2).
_MACHINES = {"x86_64": (0xC000003E, 41, 425), "aarch64": (0xC00000B7, 198, 425)}
_NOBODY = 65534


def confine(own: Path) -> Protection:
    """Leave this process, which has one thread, its interpreter's files and the folder `own`."""
    if _landlock(own):
        return "landlock"
    if os.geteuid() == 0:
        os.chown(own, _NOBODY, _NOBODY)
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
        return "user"
    return "none"


def probe(folder: Path) -> dict[str, str]:
    """What happens on trying to read an issuer's folder and to call its control socket: for each
    the error's name, like `EACCES`, or `open`."""
    found = {"folder": _errno(lambda: os.listdir(folder))}
    for name in ("bailment.toml", "staging.db", "keys.db"):
        found[name] = _errno((folder / name).read_bytes)
    found["secrets"] = _errno(lambda: os.listdir(folder / "secrets"))
    found["control socket"] = _errno(lambda: _call(folder / "control.sock"))
    return found


def _landlock(own: Path) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, 0, _VERSION)
    if version < 1 or platform.machine() not in _MACHINES:
        return False
    rights = (1 << 13) - 1
    for since, right in ((2, 13), (3, 14), (5, 15)):
        rights |= (version >= since) << right
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    asked = struct.pack("=QQQ", rights, 0, _SCOPES)[:size]
    ruleset = libc.syscall(_CREATE, asked, size, 0)
    if ruleset < 0:
        return False
    try:
        for path in (own, *_readable()):
            _allow(libc, ruleset, path, rights if path == own else _READ)
        if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(_RESTRICT, ruleset, 0):
            return False
    finally:
        os.close(ruleset)
    return _no_unix_sockets(libc)


def _readable() -> Iterator[Path]:
    own = (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path)
    trusted = (os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    found = {*_SYSTEM, *filter(None, (*own, *trusted))}
    return (path for path in map(Path, sorted(found)) if path.exists())


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights &= ~0 if path.is_dir() else _FILES_ONLY
        libc.syscall(_ADD, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)


def _no_unix_sockets(libc: ctypes.CDLL) -> bool:
    """A filter under which socket(AF_UNIX) is EACCES, and so is a ring, which could make one."""
    audit, makes_socket, makes_ring = _MACHINES[platform.machine()]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    allow, kill, deny = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EACCES
    program = [
        (load, 0, 0, 4),  # the architecture
        (equal, 1, 0, audit),
        (give, 0, 0, kill),
        (load, 0, 0, 0),  # the call's number
        (at_least, 5, 0, 0x40000000),  # the other numbers of x86-64
        (equal, 4, 0, makes_ring),
        (equal, 0, 2, makes_socket),
        (load, 0, 0, 16),  # its first argument
        (equal, 1, 0, socket.AF_UNIX),
        (give, 0, 0, allow),
        (give, 0, 0, deny),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    filters = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    return bool(libc.prctl(_SECCOMP, _FILTER, filters, 0, 0) == 0)


def _call(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))


def _errno(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "open"


def is_shut(found: dict[str, str]) -> bool:
    """Whether nothing of what was tried is open."""
    return "open" not in found.values()
