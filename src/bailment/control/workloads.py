"""Workloads at the token endpoint: a job token is exchanged for one bound to the job's own key.

RFC 7523 §2.1, `grant_type` `urn:ietf:params:oauth:grant-type:jwt-bearer`, or RFC 8693 with the job
token as subject and nobody as actor. The issuer's keys are fetched as OpenID Connect Discovery
says; only issuers that some recipient named in a workload's link are ever called, by `outbound`.
"""

from __future__ import annotations

from typing import Any

from bailment import canonical
from bailment.access.fold import Fold
from bailment.access.job import JobToken, check_job, read_job, workload_of
from bailment.access.jwk import PublicKey
from bailment.access.reasons import Reason, Refused
from bailment.clock import now_ms
from bailment.control.client_auth import EXCHANGE_GRANT, Client
from bailment.control.key_sets import KeySets, KeysUnavailable
from bailment.control.oidc import description_url
from bailment.control.outbound import Outbound, OutboundError
from bailment.control.requests import Proven
from bailment.errors import FormatError

#: RFC 8693 §3: what may be exchanged, and for what.
_TYPE = "urn:ietf:params:oauth:token-type:"
_SUBJECTS, _ACCESS = (_TYPE + "jwt", _TYPE + "id_token"), _TYPE + "access_token"


class Workloads:
    """Who a job is, by its token."""

    def __init__(self, fold: Fold, outbound: Outbound) -> None:
        self._fold = fold
        self._outbound = outbound
        self._sets = KeySets(self._fetch)

    async def prove(self, form: dict[str, str], sent: Proven) -> Client | Refused:
        """The workload whose job token this is; its token is bound to the proof's key."""
        exchanged = form.get("grant_type") == EXCHANGE_GRANT
        shown = _subject(form) if exchanged else form.get("assertion", "")
        token = shown if isinstance(shown, Refused) else read_job(shown)
        if isinstance(token, Refused):
            return token
        link = workload_of(self._fold.register, token.claims, form.get("client_id", ""))
        if isinstance(link, Refused):
            return link
        keys = await self._keys(token)
        if isinstance(keys, Refused):
            return keys
        skew = self._fold.register.policy.skew_ms
        refused = check_job(token, keys, now_ms=now_ms(), skew_ms=skew)
        if refused is not None:
            return refused
        thumbprint = sent.proof.thumbprint
        return Client(
            link.subject,
            "software",
            form,
            sent.body,
            thumbprint,
            sent.proof,
            job=token.known,
            issued={"issued_token_type": _ACCESS} if exchanged else {},
        )

    async def _keys(self, token: JobToken) -> list[PublicKey] | Refused:
        try:
            return await self._sets.keys(token.claims.iss, token)
        except KeysUnavailable as error:
            return Refused(Reason.JOB_TOKEN, f"the issuer's keys cannot be had: {error}")

    async def _fetch(self, issuer: str) -> Any:
        """The issuer's JWK Set."""
        found = await self._json(description_url(issuer))
        if not isinstance(found, dict) or found.get("issuer") != issuer:
            raise FormatError("the discovery document is another issuer's")
        return await self._json(str(found.get("jwks_uri", "")))

    async def _json(self, url: str) -> Any:
        answer = await self._outbound.get(url)
        if answer.status != 200:
            raise OutboundError(f"`{url[:200]}` answers with status {answer.status}")
        return canonical.parse_unique(answer.body)


def _subject(form: dict[str, str]) -> str | Refused:
    """The job token in a token exchange, in which nobody acts for anybody else."""
    if "actor_token" in form:
        return Refused(Reason.BODY_MALFORMED, "nobody acts for a workload: no `actor_token`")
    if form.get("subject_token_type") not in _SUBJECTS:
        return Refused(Reason.BODY_MALFORMED, f"`subject_token_type`: `{_SUBJECTS[0]}`")
    if form.get("requested_token_type", _ACCESS) != _ACCESS:
        return Refused(Reason.BODY_MALFORMED, f"`requested_token_type`: `{_ACCESS}`")
    return form.get("subject_token", "")
