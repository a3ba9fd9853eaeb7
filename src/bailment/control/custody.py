"""An organisation's admin says in which systems outside its own keys and credentials lie.

The record has the request as it was signed, so that whoever audits the log sees that the
organisation said so, and just that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bailment import canonical
from bailment.access.chain import Link
from bailment.access.nonce import Nonces
from bailment.access.proof import replay_key
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed
from bailment.control.actions import Actions, Denied
from bailment.control.pace import Pace
from bailment.control.requests import Line, Proven, Typed, answer, refusal
from bailment.control.sources import asked
from bailment.errors import FormatError
from bailment.incident.subjects import unfit
from bailment.ledger.incident_records import CustodyDeclared

#: An organisation may declare so many in an hour: each is a record that people read.
DECLARATIONS = 100
#: So many proofs are remembered, each for longer than it is good.
_MOST = 10_000

_Several = Annotated[tuple[Line, ...], msgspec.Meta(max_length=64)]


class Declaration(Typed, frozen=True):
    """`POST /custody`. The members are those of `CustodyDeclared`; `runs` is empty where the
    organisation runs the system itself, `since` (ms) 0 where nobody knows."""

    system: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
    kind: Annotated[str, msgspec.Meta(max_length=64)] = "system"
    runs: Annotated[str, msgspec.Meta(max_length=200)] = ""
    reached: _Several = ()
    stored: _Several = ()
    since: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Custody:
    """The handler; each call is proven by the organisation's admin key."""

    actions: Actions
    nonces: Nonces
    _pace: Pace = field(default_factory=lambda: Pace(DECLARATIONS))
    _used: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    async def declare(self, request: Request) -> Response:
        """Put a shared system on record. It is called `HANDLE/NAME`, HANDLE being the
        organisation's, so that nobody speaks of another's."""
        sent = await asked(request, self.actions, self.nonces)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        refused = self._pace.refusal(sent[0].subject, self.actions.log.sequencer.time)
        refused = refused or self._replayed(sent[1])
        if refused is not None:
            return self._refusal(refused)
        try:
            facts = self._facts(*sent)
            await self.actions.append(lambda now: facts)
        except (msgspec.DecodeError, FormatError) as error:
            return self._refusal(Refused(Reason.BODY_MALFORMED, str(error)))
        except Denied as denied:
            return self._refusal(denied.refused)
        return answer({"system": facts.system}, 201)

    def _replayed(self, sent: Proven) -> Refused | None:
        """Each proof is good for one record."""
        key = replay_key(sent.proof.thumbprint, sent.proof.claims.jti)
        if key in self._used:
            return Refused(Reason.PROOF_REPLAYED)
        self._used[key] = None
        while len(self._used) > _MOST:
            self._used.popitem(last=False)
        return None

    def _facts(self, organisation: Link, sent: Proven) -> CustodyDeclared:
        canonical.parse_unique(sent.body)  # what is said twice is not said
        said = msgspec.json.decode(sent.body, type=Declaration)
        log = self.actions.log
        register, own = log.fold.register, f"{organisation.kind}:{organisation.subject}"
        outside = filter(None, (said.runs, *said.reached))
        _require(register, organisation.subject, outside, also="vendor")
        _require(register, organisation.subject, said.stored)
        if said.since > log.sequencer.time:
            raise Denied(Refused(Reason.BODY_MALFORMED, "`since` is a time to come"))
        return CustodyDeclared(
            f"{register.organisations[organisation.subject].handle}/{said.system}",
            *(said.kind, said.runs or own, own, said.reached, said.stored),
            organisation=organisation.subject,
            since=said.since,
            ended=said.ended,
            proof=sent.proof.compact,
            request=sent.body.decode(),
        )

    def _refusal(self, why: Refused) -> Response:
        return refusal(why, self.actions.log.fold.register.policy.contact)


def _require(
    register: Indexed, organisation: str, subjects: Iterable[str], *, also: str = ""
) -> None:
    """Denied unless these are the organisation's own, or of the kind that is `also` allowed. What
    is another's is told like what is nowhere."""
    for subject in subjects:
        outside = also and subject.startswith(f"{also}:") and not unfit(register, subject)
        if not outside and not _own(register, organisation, subject):
            raise Denied(Refused(Reason.LINK_UNKNOWN, f"you have no `{subject}`"))


def _own(register: Indexed, organisation: str, subject: str) -> bool:
    """Whether a link, somebody or something with one, or a source is the organisation's."""
    kind, _, name = subject.partition(":")
    if kind == "source":
        source = register.state.sources.get(name)
        return source is not None and source.organisation == organisation
    path = register.path(name if kind == "link" else register.link_of.get(name, ""))
    fits = bool(path) and kind in ("link", path[-1].kind)
    return fits and organisation in (one.subject for one in path)
