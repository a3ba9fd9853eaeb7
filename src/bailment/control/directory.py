"""What a recipient's directory told of its accounts by SCIM, and what followed.

The resources are the directory's own words. They grant nothing: an account lets nobody in, and a
group gives no right. What counts is whether the account of a person whom this organisation named
is active, and that is carried out before the directory is answered.

Kept is what tells people apart, and whether they are active; the rest of what directories like to
send is dropped unread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Any, cast

from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    ComplexAttribute,
    ETag,
    Filter,
    Group,
    Name,
    Patch,
    PayloadTooLargeException,
    Required,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimPolicy,
    ScimProvider,
    SearchRequest,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)
from scim2_server.memory import InMemoryStorage
from scim2_server.storage import AsyncScimStorage, SearchPage

from bailment.assurance.adapters.report import Account
from bailment.control.signals import Act, Said, Signals
from bailment.ledger.identity_records import SignalSource
from bailment.store.accounts import Accounts, Row

#: Accounts and groups of one source.
_MOST_RESOURCES = 10_000
_MOST_RESULTS = 500


class Email(ComplexAttribute):
    """An address as the directory writes it: whoever normalised it here would make two people's
    addresses one."""

    value: str | None = None
    type: str | None = None
    primary: bool | None = None


class User(Resource[Any]):
    """RFC 7643 §4.1, and of that what is kept."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    name: Name | None = None
    display_name: str | None = None
    active: bool | None = None
    emails: list[Email] | None = None


_CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
    filter=Filter(supported=True, max_results=_MOST_RESULTS),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=True),
    etag=ETag(supported=True),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken,
            name="bearer credential",
            description="The credential that `bailment signals add scim` showed.",
            primary=True,
        )
    ],
)
#: Directories send more than their standard says, and Entra names in a value what it removes.
_POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
PROVIDER = ScimProvider(models=[User, Group], config=_CONFIG, policy=_POLICY)


class _Resources(InMemoryStorage):
    """The resources of one source, as they are looked up; versions outlive the process."""

    def next_version(self) -> str:
        return f'W/"{os.urandom(12).hex()}"'


class Directory(AsyncScimStorage):
    """What one source told. What follows from a change is done before the change is kept, so that
    a directory which was not answered says it again."""

    def __init__(
        self, source: str, rows: Iterable[Row], signals: Signals, accounts: Accounts
    ) -> None:
        self._source = source
        self._signals = signals
        self._accounts = accounts
        #: Whose account it is, by its id: once a person's, always theirs, whatever it is called.
        self.people: dict[str, str] = {}
        self.found = _Resources()
        kept: list[Resource[Any]] = []
        for row in rows:
            model = User if row.kind == "User" else Group
            kept.append(model.model_validate_json(row.resource))
            self.people[row.id] = row.person
        self.found.resources = kept

    async def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        return self.found.get(resource_type, resource_id)

    async def search(
        self,
        resource_types: list[ResourceType],
        search_request: SearchRequest[Any],
        *,
        position: Any = None,
    ) -> SearchPage:
        return self.found.search(resource_types, search_request, position=position)

    async def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        if len(self.people) >= _MOST_RESOURCES:
            raise PayloadTooLargeException(
                detail=f"a source has at most {_MOST_RESOURCES} accounts"
            )
        made = self.found.create(resource_type, resource)
        try:
            await self._keep(made, "created")
        except BaseException:
            self.found.delete(resource_type, cast(str, made.id))
            raise
        return made

    async def update(
        self,
        resource_type: ResourceType,
        resource: Resource[Any],
        *,
        expected_version: str | None = None,
    ) -> Resource[Any]:
        before = self.found.get(resource_type, cast(str, resource.id))
        made = self.found.update(resource_type, resource, expected_version=expected_version)
        try:
            await self._keep(made, "updated")
        except BaseException:
            self.found.update(resource_type, before)
            raise
        return made

    async def delete(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        expected_version: str | None = None,
    ) -> None:
        before = self.found.get(resource_type, resource_id)
        if isinstance(before, User):
            await self._say(before, self.people.get(resource_id, ""), "deleted", "hold")
        self.found.delete(resource_type, resource_id, expected_version=expected_version)
        await self._accounts.remove(self._source, resource_id)
        self.people.pop(resource_id, None)

    async def recheck(self) -> None:
        """Hold whose account was found inactive before they were named to us."""
        for user in [one for one in self.found.resources if isinstance(one, User)]:
            if user.active is False and not self.people.get(cast(str, user.id)):
                if await self._signals.person(self._live.organisation, _account(user)):
                    await self._keep(user, "updated")
                await asyncio.sleep(0)

    def erase(self, person: str) -> None:
        """Forget the accounts of a person who was erased."""
        mine = [name for name, owner in self.people.items() if owner == person]
        for name in mine:
            del self.people[name]
        self.found.resources = [one for one in self.found.resources if one.id not in mine]

    async def _keep(self, resource: Resource[Any], event: str) -> None:
        name, person = cast(str, resource.id), ""
        if isinstance(resource, User):
            owner = await self._signals.person(self._live.organisation, _account(resource))
            person = owner or self.people.get(name, "")
            await self._say(resource, person, event, self._act(resource, person))
        kind = "User" if isinstance(resource, User) else "Group"
        row = Row(self._source, name, kind, person, resource.model_dump_json().encode())
        await self._accounts.put(row)
        self.people[name] = person

    def _act(self, user: User, person: str) -> Act:
        """What an account's state asks for. Another account of the person's that is not active
        keeps them on hold."""
        if user.active is False:
            return "hold"
        others = (
            one
            for one in self.found.resources
            if isinstance(one, User) and one.id != user.id and one.active is False
        )
        held = any(self.people.get(cast(str, one.id)) == person for one in others)
        return "lift" if user.active and not held else ""

    async def _say(self, user: User, person: str, event: str, act: Act) -> None:
        if not person:
            return
        state = {True: "active", False: "inactive", None: "unsaid"}[user.active]
        said = Said(
            f"scim:user.{event}",
            f"person:{person}",
            sha256(user.model_dump_json().encode()).hexdigest(),
            act,
            f"the account was {event}, {state} in the directory",
        )
        await self._signals.tell(self._live, said)

    @property
    def _live(self) -> SignalSource:
        return self._signals.actions.log.fold.register.state.sources[self._source]


def _account(user: User) -> Account:
    """What the account is known by, as the directory wrote it."""
    emails = tuple(one.value for one in user.emails or () if one.value)
    return Account(user.external_id or "", user.user_name or "", emails, user.active)
