"""Reading requests to the control plane: bounded bodies, proofs without a token, problems."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bailment.access.answers import ANSWERS, detail_for
from bailment.access.fold import Fold
from bailment.access.nonce import Nonces
from bailment.access.presentation import presented_proof
from bailment.access.proof import Proof, check_body, check_proof, read_proof
from bailment.access.reasons import Reason, Refused
from bailment.access.text import hidden
from bailment.clock import now_ms
from bailment.control.actions import Proposed

MAX_BODY = 64 * 1024


class Typed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one person types and others read; a string in it hides nothing and steers no screen."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            found = next(filter(None, map(hidden, _texts(getattr(self, name)))), "")
            if found:
                raise ValueError(f"`{name}` holds {found}, which a reader would not see")


def _texts(value: object) -> Iterator[str]:
    """The strings of a JSON value, the names of its members included."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            left += (*one.keys(), *one.values())
        elif isinstance(one, list | tuple):
            left += one


#: What people type: names, addresses, reasons.
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Act(Typed, frozen=True, tag_field="act"):
    """What the control socket is asked to do, by its tag; `author` is who asked for it."""

    author: Line


def credential_of(request: Request) -> str:
    """The SHA-256 (hex) of the bearer credential of a request; without one, of nothing."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    shown = credential.strip() if scheme.lower() == "bearer" else ""
    return hashlib.sha256(shown.encode()).hexdigest()


def bears(request: Request, known: Iterable[str]) -> bool:
    """Whether the bearer credential of a request is one of those with these digests."""
    shown = credential_of(request)
    same = [hmac.compare_digest(shown, one) for one in known]
    return any(same)


def parameters(request: Request, names: Iterable[str]) -> dict[str, str] | None:
    """Those of the query's parameters that there are; None if one comes twice."""
    given = {name: request.query_params.getlist(name) for name in names}
    if any(len(values) > 1 for values in given.values()):
        return None
    return {name: values[0] for name, values in given.items() if values}


@dataclass(frozen=True, slots=True)
class Proven:
    """A body whose sender holds the key in the proof."""

    proof: Proof
    body: bytes


async def bounded_body(request: Request, most: int = MAX_BODY) -> bytes | Refused:
    """The body, at most so many bytes of it."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            return Refused(Reason.BODY_TOO_LARGE, f"at most {most} bytes")
        parts.append(part)
    return b"".join(parts)


async def proven(
    request: Request,
    fold: Fold,
    nonces: Nonces,
    *,
    most: int = MAX_BODY,
    may: Callable[[Proof], Refused | None] = lambda proof: None,
    digest: bool = True,
) -> Proven | Refused:
    """The body, at most so many bytes of it, of a request with a DPoP proof by a key that `may`.

    `digest` false: the proof need not be over the body, but is not over another.
    """
    proof = shown_proof(request, fold, nonces, may)
    if isinstance(proof, Refused):
        return proof
    return await proven_body(request, proof, most, digest=digest)


def shown_proof(
    request: Request, fold: Fold, nonces: Nonces, may: Callable[[Proof], Refused | None]
) -> Proof | Refused:
    """The DPoP proof of a request, by a key that `may`; nothing of the body was read yet."""
    shown = presented_proof(request.scope["headers"])
    if isinstance(shown, Refused):
        return shown
    proof = read_proof(shown)
    if isinstance(proof, Refused):
        return proof
    now, policy = now_ms(), fold.register.policy
    refused = check_proof(
        proof,
        method=request.method,
        target=fold.register.state.url + request.url.path,
        token=None,
        nonces=nonces.accepted(now),
        now_ms=now,
        lifetime_ms=policy.proof_ms,
        skew_ms=policy.skew_ms,
        expected_thumbprint=proof.thumbprint,
    )
    return refused or may(proof) or proof


async def proven_body(
    request: Request, proof: Proof, most: int, *, digest: bool = True
) -> Proven | Refused:
    """The body that the proof was made for, at most so many bytes of it."""
    body = await bounded_body(request, most)
    if isinstance(body, Refused):
        return body
    mismatch = check_body(proof, hashlib.sha256(body).digest(), demanded=digest)
    return mismatch or Proven(proof, body)


def answer(value: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(
        msgspec.json.encode(value),
        status,
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )


def waiting(proposed: Proposed, url: str) -> Response:
    """The answer where an act was proposed and not done; `url` is the issuer's."""
    told = {
        "proposed": proposed.proposal,
        "act": proposed.act,
        "people": proposed.people,
        "until": proposed.until,
        "url": f"{url}/console/acts/{proposed.proposal}",
    }
    return answer(told, 202)


#: What the parser says of a text or a list that is too long or too short, and of which member.
_LENGTH = re.compile(r"Expected `(\w+)` of length ([<>])= (\d+)(?: - at `\$\.?([^`]*)`)?")


def _plainly(found: re.Match[str]) -> str:
    kind, way, bound, name = found.groups()
    what = f"`{name}`" if name else "the body"
    unit = "characters" if kind == "str" else "members"
    if way == ">":
        return f"{what} is empty" if bound == "1" else f"{what} has less than {bound} {unit}"
    return f"{what} is too long: it has more than {bound} {unit}"


def refusal(refused: Refused, contact: str = "") -> Response:
    """A refusal as an RFC 9457 problem, with its reason.

    Who did not prove a key gets a 401, which has no detail; everybody else is told about what
    they sent or may not.
    """
    answer = ANSWERS[refused.reason]
    headers = {"cache-control": "no-store"}
    if answer.status == 401:
        nonce = refused.reason is Reason.PROOF_NONCE
        headers["www-authenticate"] = 'DPoP error="use_dpop_nonce"' if nonce else "DPoP"
    told = detail_for(refused, verified=True, contact=contact)
    problem = {
        "type": f"urn:bailment:reason:{refused.reason}",
        "title": answer.title,
        "status": answer.status,
        "detail": _LENGTH.sub(_plainly, told),
        "reason": refused.reason.value,
    }
    return JSONResponse(problem, answer.status, headers, "application/problem+json")
