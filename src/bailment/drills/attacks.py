"""What the demonstration's thief and its careless insider do."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Iterator
from hashlib import sha256

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec

from bailment.access import jwk
from bailment.access.proof import make_proof
from bailment.agent.client import fetch_token
from bailment.agent.profile import load
from bailment.drills.local_model import NAME
from bailment.drills.stage import NotAsTold, Stage

_BODY = json.dumps(
    {"model": NAME, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
).encode()
_JSON = {"content-type": "application/json"}


def replay_token(stage: Stage) -> Iterator[tuple[str, int, str]]:
    """Show the gateway a token of Maria's device, first bare, then proven with another key."""
    device = load(stage.root / "home" / ".config" / "bailment" / "default")
    token = asyncio.run(fetch_token(device, device.profile.purposes[0]))
    url = f"{stage.url}/v1/chat/completions"
    shown = _JSON | {"authorization": f"Bearer {token}"}
    bare = httpx2.post(url, content=_BODY, headers=shown, trust_env=False)
    yield "the token alone", bare.status_code, reason_of(bare)
    key = ec.generate_private_key(ec.SECP256R1())
    proof = make_proof(
        key,
        jwk.from_key(key.public_key()),
        method="POST",
        target=url,
        body_sha256=sha256(_BODY).digest(),
        token=token,
        nonce=bare.headers["dpop-nonce"],
        jti=secrets.token_urlsafe(16),
        now_s=int(time.time()),
    )
    forged = _JSON | {"authorization": f"DPoP {token}", "dpop": proof}
    proven = httpx2.post(url, content=_BODY, headers=forged, trust_env=False)
    yield "the token with the thief's own key", proven.status_code, reason_of(proven)


def call_around(stage: Stage, key: str) -> None:
    """Call the model's socket with the model's own key, as somebody inside the lab might."""
    transport = httpx2.HTTPTransport(uds=str(stage.socket_of(NAME)))
    with httpx2.Client(transport=transport, timeout=60) as client:
        answer = client.post(
            "http://model/v1/chat/completions",
            content=_BODY,
            headers=_JSON | {"authorization": f"Bearer {key}"},
        )
    if answer.status_code != 200:
        raise NotAsTold(f"the model's own socket answered {answer.status_code}")


def wait_for_finding(stage: Stage, kind: str, seconds: float) -> str:
    """The sentence of the first finding of this kind."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for finding in stage.run_json("finding", "list", "--since", "10m", quiet=True):
            if finding["kind"] == kind:
                return f"{finding['time']} {finding['sentence']}"
        time.sleep(0.5)
    raise NotAsTold(f"there was no `{kind}` finding within {seconds:g} s")


def reason_of(answer: httpx2.Response) -> str:
    """The reason in an error's body."""
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:100]
