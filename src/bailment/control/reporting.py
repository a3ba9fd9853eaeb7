"""Recipients' systems and we, put together: what they report, and what we report to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.control.actions import Actions, Denied
from bailment.control.custody import Custody
from bailment.control.event_push import EventPush
from bailment.control.hearing import Hearing
from bailment.control.misuse import Misuse
from bailment.control.notices import Notices
from bailment.control.outbound import Outbound, OutboundError
from bailment.control.requests import Typed, answer, refusal
from bailment.control.scim import Scim
from bailment.control.signals import Signals, refused
from bailment.control.sink_acts import SinkTasks
from bailment.control.sources import EVENTS_PATH, Sources, asked
from bailment.control.transmitters import Transmitters
from bailment.control.webhooks import Webhooks
from bailment.ledger.identity_records import WebhookRegistered
from bailment.store.accounts import Accounts
from bailment.store.durable import Files
from bailment.store.outbox import Outbox
from bailment.store.streams import StreamSecrets, webhook_key


class WebhookBody(Typed, frozen=True):
    """`POST /webhooks`; an empty URL ends it."""

    url: Annotated[str, msgspec.Meta(max_length=512)]


@dataclass(frozen=True, slots=True)
class WebhookRoutes:
    """The handlers; each call is proven by the organisation's admin key."""

    actions: Actions
    nonces: Nonces
    outbound: Outbound
    webhooks: Webhooks

    async def register(self, request: Request) -> Response:
        """Say where the organisation is to be told. What waits, or was given up, is sent there."""
        sent = await asked(request, self.actions, self.nonces)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        organisation, proof = sent
        try:
            url = msgspec.json.decode(proof.body, type=WebhookBody).url
            if url:
                self.outbound.check(url)
            facts = WebhookRegistered(
                organisation.subject, url, f"{organisation.kind}:{organisation.subject}"
            )
            await self.actions.append(lambda now: facts)
        except msgspec.DecodeError as error:
            return self._refusal(Refused(Reason.BODY_MALFORMED, str(error)))
        except OutboundError as error:
            return self._refusal(refused(str(error)))
        except Denied as denied:
            return self._refusal(denied.refused)
        if url:
            await self.webhooks.again(organisation.subject)
        else:
            await self.webhooks.outbox.drop(organisation.subject)
        return answer({"url": url, "key": self.webhooks.public}, 201)

    async def show(self, request: Request) -> Response:
        """Where the organisation is told, by which key, and how that goes."""
        sent = await asked(request, self.actions, self.nonces)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        organisation = sent[0].subject
        found = self.actions.log.fold.register.state.webhooks.get(organisation)
        status = await self.webhooks.outbox.status(organisation)
        told = {"url": found.url if found else "", "key": self.webhooks.public}
        return answer({**told, **status._asdict()})

    def _refusal(self, why: Refused) -> Response:
        return refusal(why, self.actions.log.fold.register.policy.contact)


Handler = Callable[[Request], Awaitable[Response]]


def _either(path: str, get: Handler, post: Handler) -> Route:
    """One route for two methods, so that a third is told of both."""

    async def handle(request: Request) -> Response:
        return await (post if request.method == "POST" else get)(request)

    return Route(path, handle, methods=["GET", "POST"])


class Reporting:
    """All of it, over one log. `routes` go to the control plane, `scim` is an application of its
    own, `runs` are for beside the servers."""

    def __init__(self, actions: Actions, nonces: Nonces, outbound: Outbound) -> None:
        folder, files = actions.log.folder, Files()
        self._accounts = Accounts(folder.accounts)
        self._outbox = Outbox(folder.outbox)
        signals = Signals(actions)
        transmitters = Transmitters(outbound, StreamSecrets(folder, files))
        self.scim = Scim(signals, self._accounts)
        self._hearing = Hearing(actions, transmitters)
        self.webhooks = Webhooks(actions, outbound, self._outbox, webhook_key(folder, files))
        self.sinks = SinkTasks(actions)
        events = EventPush(signals, transmitters)
        sources = Sources(actions, nonces, transmitters)
        webhooks = WebhookRoutes(actions, nonces, outbound, self.webhooks)
        self._notices = Notices(actions, nonces)
        self.routes = [
            _either("/signals/sources", sources.show, sources.add),
            Route("/signals/sources/{id}", sources.change, methods=["POST"]),
            Route(EVENTS_PATH + "/{id}", events.push, methods=["POST"]),
            _either("/webhooks", webhooks.show, webhooks.register),
            _either("/notices", self._notices.show, self._notices.acknowledge),
            Route("/custody", Custody(actions, nonces).declare, methods=["POST"]),
            Route("/misuse", Misuse(actions, nonces).take, methods=["POST"]),
        ]

    def runs(self) -> list[Coroutine[Any, Any, None]]:
        """What goes on as long as the process does."""
        told = (self.webhooks.run(), self.sinks.run(), self._notices.run())
        return [self.scim.begin(), self._hearing.run(), *told]

    def close(self) -> None:
        """Nothing runs any more."""
        self._accounts.close()
        self._outbox.close()
        self.sinks.close()
