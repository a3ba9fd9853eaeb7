"""What operators see and do in the browser.

Whatever changes something is an act that is proposed, shown as it will be written, and signed with
a passkey: by one person, or by as many as the spec asks for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from bailment.access.holds import KILL_SWITCH
from bailment.access.reasons import Reason, Refused
from bailment.access.text import hidden
from bailment.clock import now_ms
from bailment.control.actions import Actions, Denied
from bailment.control.operators import Operators
from bailment.control.outbound import Outbound
from bailment.control.page_access import Entrance, Shown, request_options
from bailment.control.page_data import ROWS, PageData
from bailment.control.page_provider import OwnProvider
from bailment.control.pages import (
    ADMIN,
    EVERYBODY,
    ISSUER,
    SECURITY,
    SIGNERS,
    Browser,
    Page,
    Who,
    browser_app,
)
from bailment.control.requests import answer, bounded_body, refusal
from bailment.control.two_person import Approved
from bailment.errors import FormatError
from bailment.ledger.facts import Facts
from bailment.ledger.operator_records import OperatorEnded
from bailment.ledger.records import HoldAdded, HoldLifted
from bailment.settings import Settings
from bailment.store.durable import Files
from bailment.store.providers import ProviderSecrets

#: How long a hold may last that a form asks for, by the form's word for it, ms; 0 until lifted.
SPANS = {"1h": 3_600_000, "1d": 86_400_000, "7d": 604_800_000, "": 0}
_LONGEST = 500
#: What became of acts, to be shown once they are done.
_MOST_DONE = 256


class Signed(msgspec.Struct, frozen=True):
    """`POST /console/acts/{act}/sign`."""

    credential: Shown


class Pages:
    """The handlers, and the table of who may ask for them."""

    def __init__(
        self,
        actions: Actions,
        operators: Operators,
        browser: Browser,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self._actions = actions
        self._operators = operators
        self._browser = browser
        self._status = status
        self._data = PageData(actions, operators.name)
        self._done: dict[str, tuple[str, Approved]] = {}

    @property
    def table(self) -> list[Page]:
        """Who may ask for what."""
        return [
            Page("GET", "/console/", EVERYBODY, self.overview),
            Page("GET", "/console/people", EVERYBODY, self.people),
            Page("GET", "/console/devices", EVERYBODY, self.devices),
            Page("GET", "/console/holds", EVERYBODY, self.holds),
            Page("GET", "/console/holds/new", (SECURITY,), self.hold_form),
            Page("POST", "/console/holds", (SECURITY,), self.hold),
            Page("POST", "/console/holds/{hold}/lift", (SECURITY,), self.lift),
            Page("GET", "/console/acts", EVERYBODY, self.acts),
            Page("GET", "/console/acts/{act}", EVERYBODY, self.act),
            Page("POST", "/console/acts/{act}/challenge", SIGNERS, self.challenge),
            Page("POST", "/console/acts/{act}/sign", SIGNERS, self.sign),
            Page("POST", "/console/acts/{act}/withdraw", SIGNERS, self.withdraw),
            Page("GET", "/console/operators", ISSUER, self.operators),
            Page("POST", "/console/operators/{operator}/end", (SECURITY,), self.end_operator),
            Page("GET", "/console/findings", ISSUER, self.findings),
            Page("GET", "/console/log", EVERYBODY, self.log),
            Page("POST", "/console/sign-out", EVERYBODY, self.sign_out),
        ]

    async def overview(self, request: Request, who: Who) -> Response:
        data, viewer = self._data, who.operator
        lab = viewer.role != ADMIN
        return await self._browser.page(
            "overview.html",
            who,
            recipients=data.recipients(viewer),
            holds=data.holds(viewer),
            acts=data.acts(viewer),
            findings=(await data.findings())[:5] if lab else [],
            checkpoint=await data.checkpoint(),
            running=self._status() if lab else None,
        )

    async def people(self, request: Request, who: Who) -> Response:
        rows = await self._data.people(who.operator)
        return await self._listing(request, who, "people.html", rows)

    async def devices(self, request: Request, who: Who) -> Response:
        rows = await self._data.devices(who.operator)
        return await self._listing(request, who, "devices.html", rows)

    async def holds(self, request: Request, who: Who) -> Response:
        return await self._browser.page("holds.html", who, rows=self._data.holds(who.operator))

    async def hold_form(self, request: Request, who: Who) -> Response:
        """The form, and once there is a subject whom the hold would cut off."""
        asked = {name: request.query_params.get(name, "") for name in ("subject", "reason", "for")}
        preview, problem = None, ""
        if asked["subject"]:
            try:
                subject = await self._subject(asked["subject"])
                probe = _hold(subject, "x", "x", 0)
                refused = self._actions.log.fold.register.check(probe, now_ms())
                if refused is not None and refused.reason is not Reason.APPROVAL_MISSING:
                    raise Denied(refused)
                preview = await self._data.preview(subject)
            except Denied as denied:
                problem = denied.refused.detail
        return await self._browser.page(
            "hold_new.html", who, asked=asked, preview=preview, problem=problem, spans=SPANS
        )

    async def hold(self, request: Request, who: Who) -> Response:
        async def propose(form: Mapping[str, str]) -> str:
            now, span = now_ms(), SPANS.get(form.get("for", ""), 0)
            facts = _hold(
                await self._subject(form.get("subject", "")),
                _reason(form),
                f"operator:{who.id}",
                now + span if span else 0,
            )
            preview = await self._data.preview(facts.subject)
            if form.get("selects", "") not in ("", preview["selects"]):
                raise _denied("whom it covers has changed since that was shown: look again")
            shown = {name: preview[name] for name in ("selects", "people", "devices", "recipients")}
            return (await self._actions.propose(facts, shown)).proposal

        return await self._proposing(request, who, propose)

    async def lift(self, request: Request, who: Who) -> Response:
        async def propose(form: Mapping[str, str]) -> str:
            lifted = HoldLifted(request.path_params["hold"], _reason(form), f"operator:{who.id}")
            return await self._propose(lifted)

        return await self._proposing(request, who, propose)

    async def end_operator(self, request: Request, who: Who) -> Response:
        async def propose(form: Mapping[str, str]) -> str:
            operator = request.path_params["operator"]
            return await self._propose(OperatorEnded(operator, _reason(form), f"operator:{who.id}"))

        return await self._proposing(request, who, propose)

    async def acts(self, request: Request, who: Who) -> Response:
        return await self._browser.page("acts.html", who, rows=self._data.acts(who.operator))

    async def act(self, request: Request, who: Who) -> Response:
        """All that is signed; or what became of it."""
        name = request.path_params["act"]
        proposal = self._actions.log.fold.register.state.proposals.get(name)
        if proposal is None or now_ms() >= proposal.until:
            # It may hold an invitation: for those whose act it was.
            organisation, done = self._done.get(name, ("", None))
            shown = done if who.operator.organisation == organisation else None
            return await self._browser.page(
                "act_done.html", who, 200 if shown else 404, name=name, done=shown
            )
        if not self._data.may_see(who.operator, proposal):
            return await self._browser.page("act_done.html", who, 404, name=name, done=None)
        return await self._browser.page(
            "act.html",
            who,
            act=self._data.act(name, proposal),
            may_sign=self._data.may_sign(who.id, proposal),
            personal=self._actions.people.at(proposal.index),
        )

    async def challenge(self, request: Request, who: Who) -> Response:
        """Ask this operator's passkey for a signature over the act; good for a while, and once."""
        name = request.path_params["act"]
        proposal = self._actions.log.fold.register.state.proposals.get(name)
        if proposal is None or not self._data.may_sign(who.id, proposal):
            return refusal(Refused(Reason.APPROVAL_MISSING, "your signature does not count here"))
        who.session.asked[name] = now_ms()
        digest = bytes.fromhex(proposal.digest)
        return answer(request_options(self._operators.url, digest, who.operator.credential))

    async def sign(self, request: Request, who: Who) -> Response:
        """Put the passkey's signature under the act."""
        name = request.path_params["act"]
        asked = who.session.asked.pop(name, 0)
        if now_ms() - asked >= self._browser.terms.step_up_ms:
            return refusal(Refused(Reason.PASSKEY_REFUSED, "the act was not just shown to you"))
        body = await bounded_body(request)
        if isinstance(body, Refused):
            return refusal(body)
        try:
            shown = msgspec.json.decode(body, type=Signed).credential.assertion
            proposal = self._operators.approvals.find(name)
            approved = await self._operators.approvals.sign(
                name, f"operator:{who.id}", assertion=shown
            )
        except (msgspec.DecodeError, FormatError) as error:
            return refusal(Refused(Reason.BODY_MALFORMED, str(error)))
        except Denied as denied:
            return refusal(denied.refused)
        if not approved.missing:
            while len(self._done) >= _MOST_DONE:
                del self._done[next(iter(self._done))]
            self._done[name] = (proposal.organisation, approved)
        return answer({"missing": approved.missing, "next": f"/console/acts/{name}"})

    async def withdraw(self, request: Request, who: Who) -> Response:
        name = request.path_params["act"]
        proposal = self._actions.log.fold.register.state.proposals.get(name)
        if proposal is None or not self._data.may_see(who.operator, proposal):
            return await self._browser.page("act_done.html", who, 404, name=name, done=None)

        async def end(form: Mapping[str, str]) -> str:
            author = f"operator:{who.id}"
            await self._operators.approvals.withdraw(name, _reason(form), author)
            return ""

        return await self._proposing(request, who, end)

    async def operators(self, request: Request, who: Who) -> Response:
        return await self._listing(request, who, "operators.html", self._data.operators())

    async def findings(self, request: Request, who: Who) -> Response:
        return await self._listing(request, who, "findings.html", await self._data.findings())

    async def log(self, request: Request, who: Who) -> Response:
        return await self._browser.page("log.html", who, checkpoint=await self._data.checkpoint())

    async def sign_out(self, request: Request, who: Who) -> Response:
        response = RedirectResponse("/console/sign-in", 303)
        self._browser.sign_out(request, response)
        return response

    async def _listing(
        self, request: Request, who: Who, template: str, rows: list[dict[str, Any]]
    ) -> Response:
        """A list, with only those rows that hold what is sought, if something is."""
        sought = request.query_params.get("q", "").strip()[:100]
        found = [row for row in rows if sought.lower() in " ".join(map(str, row.values())).lower()]
        return await self._browser.page(
            template, who, rows=found[:ROWS], more=max(0, len(found) - ROWS), sought=sought
        )

    async def _propose(self, facts: Facts) -> str:
        return (await self._actions.propose(facts)).proposal

    async def _proposing(self, request: Request, who: Who, propose: Any) -> Response:
        """Do what a form asks, and go on to the act that waits to be signed."""
        body = await bounded_body(request)
        if isinstance(body, Refused):
            return refusal(body)
        try:
            form = {name: found[0] for name, found in parse_qs(body.decode()).items()}
            proposal = await propose(form)
        except (UnicodeDecodeError, ValueError):
            return refusal(Refused(Reason.BODY_MALFORMED, "this is no form"))
        except Denied as denied:
            text = denied.refused.detail or denied.refused.reason.value
            return await self._browser.page(
                "message.html", who, 400, title="It was not done", text=text
            )
        return RedirectResponse(f"/console/acts/{proposal}" if proposal else "/console/acts", 303)

    async def _subject(self, text: str) -> str:
        """A hold's subject, with the ids for the names that people know; Denied for the kill
        switch, by which one would do what may take two."""
        kind, _, name = text.strip().partition(":")
        if kind == KILL_SWITCH:
            raise _denied("who owns the issuer's folder has the kill switch; hold `everything`")
        register = self._actions.log.fold.register
        if kind == "person":
            people, links = self._actions.people, register.links.values()
            everybody = {link.subject for link in links if link.kind == "person"}
            if name in everybody:
                return f"person:{name}"
            await people.load(everybody)  # looking for a name reads what nobody has read yet
            found = people.find(name)
            if len(found) != 1:
                raise _denied(f"{len(found)} people are `{name}`")
            return f"person:{found[0]}"
        if kind == "recipient":
            for pseudonym, one in register.state.recipients.items():
                if name in (pseudonym, one.handle):
                    return f"recipient:{pseudonym}"
        return text.strip()


def pages_app(
    actions: Actions,
    operators: Operators,
    status: Callable[[], dict[str, Any]],
    settings: Settings,
) -> ASGIApp:
    """The application under `/console`."""
    browser = Browser(actions, operators)
    pages, own = Pages(actions, operators, browser, status), settings.operators
    if own is None:
        return browser_app(browser, pages.table, Entrance(browser).routes)
    outbound = Outbound(frozenset(settings.outbound.hosts))
    provider = OwnProvider(browser, own, outbound, ProviderSecrets(actions.log.folder, Files()))
    entrance = Entrance(browser, urlsplit(own.issuer).netloc)
    return browser_app(browser, pages.table, [*provider.routes, *entrance.routes])


def _hold(subject: str, reason: str, author: str, until: int) -> HoldAdded:
    return HoldAdded(os.urandom(16).hex(), subject, reason, author, until)


def _reason(form: Mapping[str, str]) -> str:
    reason = form.get("reason", "").strip()
    if not 0 < len(reason) <= _LONGEST:
        raise _denied(f"say why, in 1 to {_LONGEST} characters")
    if found := hidden(reason):
        raise _denied(f"the reason holds {found}, which a reader would not see")
    return reason


def _denied(detail: str) -> Denied:
    return Denied(Refused(Reason.CHAIN_BROKEN, detail))
