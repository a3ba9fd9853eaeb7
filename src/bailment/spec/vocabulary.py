"""What evidence of each adapter can say, as data, so that a spec does not ask for it in vain.

The adapters are `bailment.assurance.adapters`, and what the issuer itself makes is in
`bailment.access`; this room may import neither, and a test holds the data to what they do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from bailment.spec.quantity import MILLION
from bailment.spec.terms import GATEWAY, Independence


class Range(msgspec.Struct, frozen=True):
    """The numbers that a claim can be, the ends included; None where there is no end."""

    least: int | None = None
    most: int | None = None


class Others(msgspec.Struct, frozen=True):
    """Claims whose names are not listed: their form, what they can be, and how to write one."""

    form: str = ""
    range: Range = Range()
    how: str = ""


class Vocabulary(msgspec.Struct, frozen=True):
    """What evidence of an adapter can say.

    checks: whether it has any; their names are those of tools and people, and any will do.
    claims: those whose names are fixed.
    others: those whose names are not; None where all are fixed.
    planned: those that are defined, and that nothing makes yet.
    people: whether it can name people.
    most: the most independently that anybody can have collected it.
    observed: what it says where it is `observed`, if that is not all.
    """

    checks: bool = False
    claims: Mapping[str, Range] = {}
    others: Others | None = None
    planned: Mapping[str, Range] = {}
    people: bool = False
    most: Independence = "third-party"
    observed: frozenset[str] | None = None

    def range_of(self, claim: str) -> Range | None:
        """The numbers that the claim can be; None if there is no such claim."""
        if found := self.claims.get(claim) or self.planned.get(claim):
            return found
        fits = self.others is not None and re.search(self.others.form, claim)
        return self.others.range if self.others is not None and fits else None


_COUNT, _SOME, _SHARE = Range(0), Range(1), Range(0, MILLION)
_TOOL = Vocabulary(checks=True)

VOCABULARIES: Mapping[str, Vocabulary] = {
    "scubagear/1": _TOOL,
    "scubagoggles/1": _TOOL,
    "prowler-ocsf/1": _TOOL,
    "maester/1": _TOOL,
    "oscal-ar/1": _TOOL,
    "in-toto-test-result/1": _TOOL,
    "scim/1": Vocabulary(
        claims=dict.fromkeys(("accounts", "inactive", "unmatched_accounts"), _COUNT),
        people=True,
    ),
    "dsse-attestation/1": Vocabulary(checks=True, others=Others(), people=True),
    "document/1": Vocabulary(
        checks=True,
        others=Others(
            r"^[a-z][a-z0-9]*(?:_[a-z0-9]+)*_exceptions\Z",
            _COUNT,
            "write one like `cc6_1_exceptions`: a criterion, and `_exceptions`",
        ),
    ),
    "drill/1": Vocabulary(
        checks=True,
        claims={"trials": _SOME, "missed": _COUNT, "observed": _SOME},
        others=Others(),
        most="observed",
        # Of the only drill that the running issuer times itself: a hold.
        observed=frozenset(
            {
                *("cut_after_ms", "refused_after_ms", "refused_after_s", "opened_after_hold"),
                *("trials", "missed", "observed"),
            }
        ),
    ),
    GATEWAY: Vocabulary(
        claims={
            **dict.fromkeys(
                (
                    "observed",
                    "unbound_requests",
                    "undelegated_requests",
                    "unenrolled_device_requests",
                    "off_network_requests",
                    "undeclared_purpose_requests",
                    "undeclared_parties",
                    "long_lived_credentials",
                    "delegation_depth",
                    "widening_links",
                    "delegates_below_tier",
                    "longest_contractor_days",
                    "unsigned_exceptions",
                    "longest_exception_days",
                    "silent_collectors",
                    "grants_by_one",
                    "workloads_without_owner",
                ),
                _COUNT,
            ),
            "requests": _SOME,
            "bound_ppm": _SHARE,
            "phishing_resistant_ppm": _SHARE,
            "hardware_bound_ppm": _SHARE,
        },
        planned={
            "unregistered_client_requests": _COUNT,
            "shared_credential_alerts": _COUNT,
        },
        people=True,
        most="observed",
    ),
}
