"""Software TPMs (swtpm) with a maker of their own, who certifies their endorsement keys; and a
program that says it were one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

_TOOLS = ("swtpm", "swtpm_setup", "swtpm_localca")
_SETUP = """\
create_certs_tool = {localca}
create_certs_tool_config = {maker}/localca.conf
create_certs_tool_options = {maker}/options
"""
_LOCALCA = """\
statedir = {maker}
signingkey = {maker}/signkey.pem
issuercert = {maker}/issuercert.pem
certserial = {maker}/certserial
"""
_OPTIONS = """\
--tpm-manufacturer id:00001014
--tpm-model swtpm
--tpm-version 1
--platform-manufacturer Test
--platform-version 1
--platform-model Test
"""
#: TPMA_OBJECT of a device's key and of an attestation key, as the TCG numbers the bits.
DEVICE, ATTESTER = 0x00040472, 0x00050472


@dataclass(frozen=True)
class Maker:
    """A maker of TPMs: a root, and an authority under it."""

    folder: Path

    @property
    def roots(self) -> tuple[Path, Path]:
        return self.folder / "swtpm-localca-rootca-cert.pem", self.folder / "issuercert.pem"

    def make(self, state: Path) -> None:
        """A TPM's state, with an endorsement key and this maker's certificate over it."""
        state.mkdir()
        subprocess.run(
            [
                *("swtpm_setup", "--tpm2", "--tpmstate", str(state), "--create-ek-cert"),
                *("--config", str(self.folder / "setup.conf"), "--overwrite"),
            ],
            check=True,
            capture_output=True,
        )


def maker(folder: Path) -> Maker:
    """A new maker; the test is skipped, and says so, where there are no software TPMs."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no {missing[0]} here: apt-get install swtpm swtpm-tools")
    folder.mkdir()
    made = {"maker": folder, "localca": shutil.which("swtpm_localca")}
    (folder / "setup.conf").write_text(_SETUP.format(**made))
    (folder / "localca.conf").write_text(_LOCALCA.format(**made))
    (folder / "options").write_text(_OPTIONS)
    return Maker(folder)


@contextmanager
def running(state: Path) -> Iterator[str]:
    """A TPM that runs with this state; the path of its socket, which is short."""
    folder = Path(tempfile.mkdtemp(prefix="tpm-"))
    pid = folder / "pid"
    try:
        subprocess.run(
            [
                *("swtpm", "socket", "--tpm2", "--daemon", "--pid", f"file={pid}"),
                *("--tpmstate", f"dir={state}", "--flags", "not-need-init,startup-clear"),
                *("--server", f"type=unixio,path={folder / 'data'}"),
                *("--ctrl", f"type=unixio,path={folder / 'control'}"),
            ],
            check=True,
            capture_output=True,
        )
        yield str(folder / "data")
    finally:
        if pid.exists():
            with suppress(ProcessLookupError):
                os.kill(int(pid.read_text()), signal.SIGKILL)
        shutil.rmtree(folder)


@dataclass
class Pretender:
    """A program that makes all that a TPM makes, with keys of its own."""

    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def public(self, attributes: int = ATTESTER, scheme: bytes = b"\0\x18\0\x0b") -> bytes:
        """Its TPMT_PUBLIC."""
        return public(self.private.public_key(), attributes, scheme)

    def certify(self, public: bytes, qualification: bytes, **changes: bytes) -> tuple[bytes, bytes]:
        """A TPMS_ATTEST over the key, and the TPMT_SIGNATURE."""
        parts = {
            "magic": bytes.fromhex("ff544347"),
            "type": bytes.fromhex("8017"),
            "signer": sized(name(b"\x40\0\0\x0b" + name(self.public()))),
            "extra": sized(qualification),
            "clock": bytes(16),
            "safe": b"\1",
            "firmware": bytes(8),
            "name": sized(name(public)),
            "qualified": sized(name(public)),
        }
        attest = b"".join({**parts, **changes}.values())
        return attest, self.sign(attest)

    def sign(self, attest: bytes) -> bytes:
        r, s = decode_dss_signature(self.private.sign(attest, ec.ECDSA(SHA256())))
        return b"\0\x18\0\x0b" + b"".join(sized(one.to_bytes(32, "big")) for one in (r, s))


def public(key: ec.EllipticCurvePublicKey, attributes: int = DEVICE, scheme: bytes = b"") -> bytes:
    """The TPMT_PUBLIC of a P-256 key; without a scheme it may sign by any."""
    point = key.public_numbers()
    unique = b"".join(sized(one.to_bytes(32, "big")) for one in (point.x, point.y))
    head = b"\0\x23\0\x0b" + attributes.to_bytes(4, "big") + sized(b"") + b"\0\x10"
    return head + (scheme or b"\0\x10") + b"\0\x03\0\x10" + unique


def name(public: bytes) -> bytes:
    """What a TPM calls the key."""
    return b"\0\x0b" + sha256(public).digest()


def sized(data: bytes) -> bytes:
    """A TPM2B."""
    return len(data).to_bytes(2, "big") + data
