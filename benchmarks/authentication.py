"""What authentication costs the gateway: `python benchmarks/authentication.py`.

One process, both ways in turn, round by round, so that a busy machine slows them alike: it is the
ratio that counts. A request is what the gateway checks before the decision: the headers, the token,
the proof and the body's digest, or the connection's certificate. A handshake is the server's part
of one of TLS 1.3, in memory; by mTLS there is a client's certificate to verify in it.
"""

from __future__ import annotations

import json
import secrets
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bailment.access import jwk
from bailment.access.certificate import thumbprint
from bailment.access.fold import Fold
from bailment.access.nonce import Nonces
from bailment.access.proof import check_body, make_proof, token_hash
from bailment.clock import now_ms
from bailment.gateway.credentials import Caller, Credentials
from bailment.gateway.handshake import tls_extension, trust_devices
from bailment.gateway.intake import Scope, arrive
from bailment.ledger.identity_records import DeviceCertified
from bailment.ledger.records import TokenIssued
from bailment.store.authority import Authority, open_authority
from bailment.store.durable import Files
from bailment.store.folder import Folder

ROUNDS, REQUESTS, HANDSHAKES = 15, 300, 30
URL, PATH, DEVICE = "https://gateway.example", "/v1/messages", "ab" * 16
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello " * 40}]}).encode()
HOUR = 3_600_000


class Bench:
    """A device with a token of each kind."""

    def __init__(self, authority: Authority) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.public = jwk.from_key(self.key.public_key())
        now = now_ms()
        self.certificate = authority.certify(DEVICE, self.public, now, now + HOUR)
        der = self.certificate.public_bytes(Encoding.DER)
        self.extensions = {"tls": {"client_cert_chain": [ssl.DER_cert_to_PEM_cert(der)]}}
        name = thumbprint(der)
        self.fold = Fold()
        state = self.fold.register.state
        state.url = URL
        state.certificates[DEVICE] = [DeviceCertified(DEVICE, name, now + HOUR, "")]
        self.tokens = {"dpop-body": secrets.token_hex(300), "mtls": secrets.token_hex(300)}
        for kind, token in self.tokens.items():
            bound = {"certificate": name} if kind == "mtls" else {}
            self.fold.admission.counted.tokens[token_hash(token)] = TokenIssued(
                *(token_hash(token), DEVICE, "p", (), (), "x", "software", self.public.thumbprint),
                *(now, now + HOUR, now, "", ""),
                **bound,  # type: ignore[arg-type]
            )
        self.nonces = Nonces(bytes(32), HOUR)
        self.credentials = Credentials(self.fold, self.nonces)

    def scope(self, kind: str) -> Scope:
        """One request as it arrives; its proof is new, and made before the clock runs."""
        token = self.tokens[kind]
        headers = [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"x/json")]
        if kind == "dpop-body":
            proof = make_proof(
                self.key,
                self.public,
                method="POST",
                target=URL + PATH,
                body_sha256=sha256(BODY).digest(),
                token=token,
                nonce=self.nonces.current(now_ms()),
                jti=secrets.token_urlsafe(16),
                now_s=now_ms() // 1000,
            )
            headers.append((b"dpop", proof.encode()))
        scope = {"method": "POST", "raw_path": PATH.encode(), "headers": headers}
        return {**scope, "extensions": self.extensions if kind == "mtls" else {"tls": {}}}

    def authenticate(self, scope: Scope) -> None:
        caller = self.credentials.check(arrive(scope, ()), now_ms())
        assert isinstance(caller, Caller), caller
        digest = sha256(BODY).digest()
        assert caller.proof is None or check_body(caller.proof, digest) is None


def per_request(bench: Bench, kind: str) -> float:
    """Microseconds for one request."""
    scopes = [bench.scope(kind) for _ in range(REQUESTS)]
    start = time.process_time()
    for scope in scopes:
        bench.authenticate(scope)
    return (time.process_time() - start) / REQUESTS * 1e6


class Handshakes:
    """A listener and its clients, with and without a certificate."""

    def __init__(self, folder: Path, authority: Authority, bench: Bench) -> None:
        pem = _self_signed(folder)
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.server.load_cert_chain(pem)
        trust_devices(self.server, authority.der)
        shown = folder / "device.pem"
        shown.write_bytes(bench.certificate.public_bytes(Encoding.PEM) + _pem(bench.key))
        self.clients = {}
        for kind in ("dpop-body", "mtls"):
            self.clients[kind] = ssl.create_default_context(cafile=str(pem))
        self.clients["mtls"].load_cert_chain(shown)

    def each(self, kind: str) -> float:
        """Microseconds that one handshake costs the server."""
        return sum(self._one(kind) for _ in range(HANDSHAKES)) / HANDSHAKES * 1e6

    def _one(self, kind: str) -> float:
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = self.server.wrap_bio(up, down, server_side=True)
        client = self.clients[kind].wrap_bio(down, up, server_hostname="gateway.example")
        spent = 0.0
        for _ in range(3):
            _step(client.do_handshake)
            start = time.process_time()
            _step(server.do_handshake)
            spent += time.process_time() - start
        start = time.process_time()
        assert bool(tls_extension(server)["client_cert_chain"]) == (kind == "mtls")
        return spent + time.process_time() - start


def _step(handshake: Callable[[], Any]) -> None:
    try:
        handshake()
    except ssl.SSLWantReadError:
        return


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway.example")])
    like = open_authority(Folder(folder / "own"), Files(), "gateway", now_ms()).certificate
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(like.not_valid_before_utc)
        .not_valid_after(like.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("gateway.example")]), False)
        .sign(key, SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM) + _pem(key))
    return path


def report(what: str, found: dict[str, list[float]]) -> None:
    """One row: each way's median, and the median of the rounds' ratios."""
    ratios = [d / m for d, m in zip(found["dpop-body"], found["mtls"], strict=True)]
    dpop, mtls = (statistics.median(found[kind]) for kind in ("dpop-body", "mtls"))
    print(f"| {what} | {dpop:.0f} µs | {mtls:.0f} µs | {statistics.median(ratios):.2f} |")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = open_authority(Folder(folder), Files(), "lab.example/log", now_ms())
        bench = Bench(authority)
        handshakes = Handshakes(folder, authority, bench)
        ways = ("dpop-body", "mtls")
        requests: dict[str, list[float]] = {kind: [] for kind in ways}
        shakes: dict[str, list[float]] = {kind: [] for kind in ways}
        for number in range(ROUNDS):
            for kind in ways if number % 2 else ways[::-1]:
                requests[kind].append(per_request(bench, kind))
                shakes[kind].append(handshakes.each(kind))
    print("| CPU of the server | dpop-body | mtls | dpop-body ÷ mtls |")
    print("|---|---|---|---|")
    report("a request", requests)
    report("a handshake", shakes)


if __name__ == "__main__":
    main()
