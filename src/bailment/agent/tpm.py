"""A TPM 2.0: the dozen commands that a key of ours needs, as the TCG's TPM 2.0 Library, Part 3, has
them, over the kernel's device (`/dev/tpmrm0`) or the socket of a software TPM.

Everything is big-endian. What a TPM answers is bounded, and read to its end.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

from bailment.access.attestation import Reader
from bailment.errors import BailmentError, FormatError

#: What names another device, or the data socket of a software TPM.
VARIABLE, DEVICE = "BAILMENT_TPM", "/dev/tpmrm0"

RH_OWNER, RH_NULL, RS_PW, RH_ENDORSEMENT = 0x40000001, 0x40000007, 0x40000009, 0x4000000B

CREATE_PRIMARY, ACTIVATE_CREDENTIAL, CERTIFY = 0x131, 0x147, 0x148
NV_READ, POLICY_SECRET, CREATE, LOAD, SIGN = 0x14E, 0x151, 0x153, 0x157, 0x15D
FLUSH_CONTEXT, NV_READ_PUBLIC, START_AUTH_SESSION = 0x165, 0x169, 0x176

_NO_SESSIONS, _SESSIONS = 0x8001, 0x8002
_POLICY_SESSION, _ALG_SHA256, _ALG_NULL = 0x01, 0x000B, 0x0010
#: The TPM is busy (TPM_RC_YIELDED, TESTING, NV_RATE, RETRY): how often it is asked again, when (s).
_BUSY, _TIMES, _PAUSE = frozenset((0x908, 0x90A, 0x920, 0x922)), 40, 0.05
#: TPM_RC_INITIALIZE, TPM_RC_REFERENCE_H0 to H6: it began anew, or knows no such key.
_FORGOTTEN = frozenset((0x100, *range(0x910, 0x917)))
_MOST_ANSWER, _PATIENCE = 4096, 60.0
_NV_CHUNK, _NV_MOST = 512, 4096
_PASSWORD = RS_PW.to_bytes(4, "big") + bytes(5)  # an empty password


class TpmError(BailmentError):
    """The TPM cannot be reached, or said no; `code` is its TPM_RC, or 0."""

    def __init__(self, message: str, *, hint: str = "", code: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.code = code

    @property
    def lost(self) -> bool:
        """Whether the TPM could not be reached, or has lost what it had loaded."""
        handle = self.code & 0xBF == 0x8B  # TPM_RC_HANDLE
        return not self.code or handle or self.code in _FORGOTTEN


@dataclass(frozen=True, slots=True)
class Created:
    """A key that the TPM holds at `handle`; `public` is its TPMT_PUBLIC."""

    handle: int
    public: bytes


class Tpm:
    """One connection. Threads may share it; what it loaded is flushed when it is closed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._handles: set[int] = set()
        self._transport = _connect(path)
        self.close = weakref.finalize(self, _close, self._transport, self._handles, os.getpid())

    def create_primary(self, hierarchy: int, template: bytes) -> Created:
        """The primary key of a template, the same each time."""
        sensitive = _sized(bytes(4))  # no password of its own, and no data
        rest = sensitive + _sized(template) + bytes(2) + bytes(4)
        handle, reader = self._loading(CREATE_PRIMARY, [hierarchy], rest)
        return Created(handle, reader.sized(1024))

    def create(self, parent: int, template: bytes) -> tuple[bytes, bytes]:
        """A new key under `parent`: its TPMT_PUBLIC, and its private part, which is encrypted for
        this TPM alone."""
        rest = _sized(bytes(4)) + _sized(template) + bytes(2) + bytes(4)
        reader = self.command(CREATE, [parent], rest)
        private = reader.sized(1024)
        return reader.sized(1024), private

    def load(self, parent: int, public: bytes, private: bytes) -> int:
        """The handle of a key that `create` made under the same parent."""
        handle, _ = self._loading(LOAD, [parent], _sized(private) + _sized(public))
        return handle

    def sign(self, key: int, digest: bytes) -> bytes:
        """The TPMT_SIGNATURE by ECDSA with SHA-256 over a SHA-256 digest."""
        ticket = _numbers((2, 0x8024), (4, RH_NULL), (2, 0))  # not hashed by the TPM
        scheme = _numbers((2, 0x0018), (2, _ALG_SHA256))
        reader = self.command(SIGN, [key], _sized(digest) + scheme + ticket)
        return reader.rest()

    def certify(self, key: int, attester: int, qualification: bytes) -> tuple[bytes, bytes]:
        """The TPMS_ATTEST over `key` by `attester`, and its TPMT_SIGNATURE."""
        rest = _sized(qualification) + _numbers((2, _ALG_NULL))
        reader = self.command(CERTIFY, [key, attester], rest, sessions=[_PASSWORD, _PASSWORD])
        return reader.sized(1024), reader.rest()

    def activate_credential(
        self, attester: int, endorsement: int, credential: bytes, secret: bytes
    ) -> bytes:
        """What was sealed for `attester` in the TPM with the endorsement key at `endorsement`.

        `credential` is a TPM2B_ID_OBJECT, `secret` a TPM2B_ENCRYPTED_SECRET.
        """
        session = self._endorsement_session()
        try:
            reader = self.command(
                ACTIVATE_CREDENTIAL,
                [attester, endorsement],
                credential + secret,
                sessions=[_PASSWORD, session.to_bytes(4, "big") + bytes(5)],
            )
            return reader.sized(64)
        finally:
            # Used without `continueSession`, it is over; after a refusal it is not.
            self.forget(session)

    def nv_read(self, index: int) -> bytes | None:
        """What the maker wrote at an index; None if there is nothing."""
        try:
            described = self.command(NV_READ_PUBLIC, [], index.to_bytes(4, "big"), sessions=[])
        except TpmError as error:
            if error.code and error.lost:
                return None
            raise
        public = described.sized(256)
        size = min(int.from_bytes(public[-2:], "big"), _NV_MOST)
        data = b""
        while len(data) < size:
            chunk = min(_NV_CHUNK, size - len(data))
            rest = _numbers((2, chunk), (2, len(data)))
            data += self.command(NV_READ, [index, index], rest).sized(chunk)
        return data

    def flush(self, handle: int) -> None:
        """Have the TPM forget a key that it loaded."""
        with self._lock:
            self._handles.discard(handle)
            self.command(FLUSH_CONTEXT, [], handle.to_bytes(4, "big"), sessions=[])

    def command(
        self,
        code: int,
        handles: Sequence[int],
        rest: bytes,
        *,
        sessions: Sequence[bytes] | None = None,
        returns: bool = False,
    ) -> Reader:
        """Send a command, by default with an empty password, and read its answer's parameters; its
        handle before them, where it `returns` one. TpmError if the TPM refuses."""
        sessions = [_PASSWORD] if sessions is None else sessions
        area = b"".join(sessions)
        area = len(area).to_bytes(4, "big") + area if sessions else b""
        body = b"".join(one.to_bytes(4, "big") for one in handles) + area + rest
        tag = _SESSIONS if sessions else _NO_SESSIONS
        sent = _numbers((2, tag), (4, len(body) + 10), (4, code)) + body
        for _ in range(_TIMES):
            with self._lock:
                answer = self._transport.exchange(sent)
            found = _read(answer, code)
            if isinstance(found, Reader):
                return _parameters(found, bool(sessions), returns)
            time.sleep(_PAUSE)
        raise TpmError(f"the TPM `{self.path}` is busy and stays so", hint="try again")

    def _loading(self, code: int, handles: Sequence[int], rest: bytes) -> tuple[int, Reader]:
        with self._lock:
            reader = self.command(code, handles, rest, returns=True)
            handle = reader.number(4)
            self._handles.add(handle)
            return handle, Reader(reader.sized(_MOST_ANSWER), _MOST_ANSWER)

    def _endorsement_session(self) -> int:
        """A policy session in which the endorsement key may be used: by whoever may use the
        endorsement hierarchy, which has no password where nobody set one."""
        null = _numbers((4, RH_NULL), (4, RH_NULL), (2, 16)) + bytes(16)
        asked = null + _numbers((2, 0), (1, _POLICY_SESSION), (2, _ALG_NULL), (2, _ALG_SHA256))
        session = self.command(START_AUTH_SESSION, [], asked, sessions=[]).number(4)
        try:
            rest = bytes(2) + bytes(2) + bytes(2) + bytes(4)  # no nonce, cpHash, policyRef; no end
            self.command(POLICY_SECRET, [RH_ENDORSEMENT, session], rest)
        except TpmError:
            self.forget(session)
            raise
        return session

    def forget(self, handle: int) -> None:
        """The same for what the TPM may have lost already."""
        try:
            self.flush(handle)
        except TpmError:
            self._handles.discard(handle)  # the TPM knows it no more


class _Device:
    """A character device: one write is a command, one read its answer."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def exchange(self, command: bytes) -> bytes:
        os.write(self._file, command)
        return os.read(self._file, _MOST_ANSWER)

    def close(self) -> None:
        os.close(self._file)


class _Socket:
    """The data socket of a software TPM: the same octets, as a stream."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_PATIENCE)
        self._socket.connect(path)

    def exchange(self, command: bytes) -> bytes:
        self._socket.sendall(command)
        head = self._exactly(10)
        size = int.from_bytes(head[2:6], "big")
        if not 10 <= size <= _MOST_ANSWER:
            raise OSError("the answer has no such length")
        return head + self._exactly(size - 10)

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise OSError("it hung up")
            data += part
        return data


def tpm_path() -> str:
    """Where this machine's TPM is to be found, if it has one."""
    return os.environ.get(VARIABLE) or DEVICE


def _connect(path: str) -> _Named:
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
        return _Named(path, _Socket(path) if is_socket else _Device(path))
    except FileNotFoundError:
        raise TpmError(f"this machine has no TPM 2.0 at `{path}`") from None
    except PermissionError:
        raise TpmError(
            f"you may not use the TPM at `{path}`", hint="join the group `tss`, and log in again"
        ) from None
    except OSError as error:
        raise TpmError(f"cannot use the TPM at `{path}`: {error.strerror or error}") from None


class _Named:
    """A transport whose errors say which TPM it is."""

    def __init__(self, path: str, inner: _Device | _Socket) -> None:
        self._path = path
        self._inner = inner

    def exchange(self, command: bytes) -> bytes:
        try:
            return self._inner.exchange(command)
        except OSError as error:
            told = error.strerror or str(error)
            raise TpmError(f"the TPM at `{self._path}` does not answer: {told.lower()}") from None

    def close(self) -> None:
        self._inner.close()


def _close(transport: _Named, handles: set[int], opener: int) -> None:
    """Flush what is loaded, for a TPM without a resource manager keeps it, and close; in a process
    that was forked off, close alone."""
    try:
        if os.getpid() != opener:
            return
        for handle in sorted(handles):
            transport.exchange(
                _numbers((2, _NO_SESSIONS), (4, 14), (4, FLUSH_CONTEXT), (4, handle))
            )
    except TpmError:
        pass  # it has gone, and what it held with it
    finally:
        transport.close()


def _read(answer: bytes, code: int) -> Reader | None:
    """The answer behind its header; None if the TPM is busy."""
    reader = Reader(answer, _MOST_ANSWER)
    try:
        reader.number(2)
        size, result = reader.number(4), reader.number(4)
    except FormatError:
        raise TpmError("the TPM's answer is cut short") from None
    if size != len(answer):
        raise TpmError("the TPM's answer has another length than it says")
    if result in _BUSY:
        return None
    if result:
        raise TpmError(f"the TPM refuses the command {code:#x}: code {result:#x}", code=result)
    return reader


def _parameters(reader: Reader, sessions: bool, returns: bool) -> Reader:
    """What follows the header: a handle (left to read), and the parameters, without what is said
    of sessions."""
    try:
        handle = reader.take(4) if returns else b""
        if not sessions:
            return Reader(handle + reader.rest(), _MOST_ANSWER)
        parameters = reader.take(reader.number(4))
        sized = len(parameters).to_bytes(2, "big") if returns else b""
        return Reader(handle + sized + parameters, _MOST_ANSWER)
    except FormatError:
        raise TpmError("the TPM's answer is cut short") from None


def _numbers(*parts: tuple[int, int]) -> bytes:
    """Numbers, each with its size in octets before it."""
    return b"".join(value.to_bytes(size, "big") for size, value in parts)


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data
