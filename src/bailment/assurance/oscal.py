"""An evaluation as OSCAL assessment results (NIST OSCAL 1.2, JSON), beside the spec's catalog.

    tier          result, with the controls of its profile
    item          observation, `collected` when it is dated, `expires` when it stops to count
    verdict       finding on the control's assessment objective: `satisfied`, else `not-satisfied`,
                  with the exact status and when it changes as properties
    exception     risk, `deviation-approved`, with its `deadline`

OSCAL wants results to name the plan that they carry out. Here that is the spec itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bailment.assurance.evaluation import Evaluation, TierVerdict, Verdict, evaluation_digest
from bailment.assurance.grant import Grant
from bailment.assurance.item import Item
from bailment.assurance.proof_tree import Proof, satisfied_leaves
from bailment.spec.document import Document, digest
from bailment.spec.oscal import (
    CATALOG,
    control_id,
    identifier,
    instant,
    metadata,
    objective_id,
    prop,
    title_of,
)
from bailment.spec.prose import escaped
from bailment.spec.prose import title_of as kind_title
from bailment.spec.terms import TIERS

_REASONS = {"satisfied": "pass", "failed": "fail", "contradicted": "fail"}


def assessment_results(
    document: Document,
    evaluation: Evaluation,
    items: Sequence[Item],
    exceptions: Sequence[Grant],
    *,
    recipient: str,
    now: int,
) -> dict[str, Any]:
    """The OSCAL assessment results of an evaluation under `document`.

    `items` and `exceptions` are those that were evaluated, `recipient` what the recipient is to be
    called, `now` in ms. No person is named: items hold random ids.
    """
    if evaluation.spec != digest(document):
        raise ValueError("the evaluation is of another spec")
    maker = _Maker(document, evaluation, items, exceptions)
    described = metadata(
        document,
        f"{title_of(document)}: {escaped(recipient)}",
        now,
        prop("evaluation-digest", maker.digest),
        prop("inputs-digest", evaluation.inputs),
    )
    described["parties"].append(
        {"uuid": maker.recipient, "type": "organization", "name": recipient.strip() or "recipient"}
    )
    plan = maker.uuid("plan")
    return {
        "assessment-results": {
            "uuid": maker.uuid("assessment-results"),
            "metadata": described,
            "import-ap": {"href": f"#{plan}"},
            "results": [maker.result(tier) for tier in evaluation.tiers],
            "back-matter": {
                "resources": [
                    {
                        "uuid": plan,
                        "title": "The spec, in place of an assessment plan",
                        "rlinks": [{"href": CATALOG, "media-type": "application/json"}],
                    }
                ]
            },
        }
    }


class _Maker:
    """The parts of one document."""

    def __init__(
        self,
        document: Document,
        evaluation: Evaluation,
        items: Sequence[Item],
        exceptions: Sequence[Grant],
    ) -> None:
        self.digest = evaluation_digest(evaluation)
        self.recipient = self.uuid("recipient")
        self._document = document
        self._at = evaluation.at
        self._items = {item.id: item for item in items}
        self._grants = {grant.id: grant for grant in exceptions}

    def uuid(self, *names: str) -> str:
        return identifier(self.digest, *names)

    def result(self, tier: TierVerdict) -> dict[str, Any]:
        name = TIERS[tier.rank - 1]
        held = "held" if tier.held else f"not held, {len(tier.blocking)} requirements are not met"
        props = [prop("tier", name), prop("held", "yes" if tier.held else "no")]
        if tier.lapses is not None:
            props.append(prop("lapses", instant(tier.lapses)))
        ids = [verdict.requirement for verdict in tier.verdicts]
        excused = [verdict for verdict in tier.verdicts if verdict.exception]
        parts = {
            "observations": list(self._observations(name, tier)),
            "risks": [self._risk(name, verdict) for verdict in excused],
            "findings": [self._finding(name, verdict) for verdict in tier.verdicts],
        }
        return {
            "uuid": self.uuid(name),
            "title": f"{name}: {escaped(self._document.tiers[name].name)}",
            "description": f"{name} is {held}.",
            "start": instant(self._at),
            "end": instant(self._at),
            "props": props,
            "reviewed-controls": _reviewed(ids),
            **{key: value for key, value in parts.items() if value},
        }

    def _observations(self, tier: str, verdict: TierVerdict) -> Iterator[dict[str, Any]]:
        ends = _ends(verdict)
        cited = {id_: None for one in verdict.verdicts for id_ in _cited(one)}
        for id_ in cited:
            yield self._observation(tier, self._items[id_], ends)

    def _observation(self, tier: str, item: Item, ends: Mapping[str, int]) -> dict[str, Any]:
        kind = self._document.evidence_kinds[item.kind]
        simulated = [prop("simulated", "yes")] if item.simulated else []
        observation: dict[str, Any] = {
            "uuid": self.uuid(tier, "item", item.id),
            "title": kind_title(self._document, item.kind),
            "description": "\n\n".join(
                (
                    f"Report `{escaped(item.report)}` on {escaped(item.scope)}.",
                    *map(escaped, item.notes),
                )
            ),
            "props": [
                prop("item", item.id),
                prop("kind", item.kind),
                prop("adapter", item.adapter),
                prop("independence", item.independence),
                *simulated,
            ],
            "methods": ["TEST" if kind.class_ == "machine" else "EXAMINE"],
            "types": ["control-objective"],
            "subjects": [{"subject-uuid": self.recipient, "type": "party"}],
            "relevant-evidence": [
                {
                    "description": "The report as it was received.",
                    "props": [prop("sha-256", item.digest)],
                }
            ],
            "collected": instant(item.dated),
        }
        if item.id in ends:
            observation["expires"] = instant(ends[item.id])
        return observation

    def _finding(self, tier: str, verdict: Verdict) -> dict[str, Any]:
        satisfied = verdict.status == "satisfied"
        title = f"{verdict.requirement} {self._document.requirements[verdict.requirement].title}"
        props = [prop("status", verdict.status)]
        if verdict.until is not None:
            props.append(prop("until", instant(verdict.until)))
        finding: dict[str, Any] = {
            "uuid": self.uuid(tier, "finding", verdict.requirement),
            "title": escaped(title),
            "description": f"At this time the requirement is {verdict.status}.",
            "props": props,
            "target": {
                "type": "objective-id",
                "target-id": objective_id(verdict.requirement),
                "status": {
                    "state": "satisfied" if satisfied else "not-satisfied",
                    "reason": _REASONS.get(verdict.status, "other"),
                },
            },
        }
        if cited := list(dict.fromkeys(_cited(verdict))):
            finding["related-observations"] = [
                {"observation-uuid": self.uuid(tier, "item", id_)} for id_ in cited
            ]
        if verdict.exception:
            finding["related-risks"] = [{"risk-uuid": self._risk_id(tier, verdict)}]
        return finding

    def _risk(self, tier: str, verdict: Verdict) -> dict[str, Any]:
        grant = self._grants[verdict.exception]
        title = self._document.requirements[verdict.requirement].title
        risk: dict[str, Any] = {
            "uuid": self._risk_id(tier, verdict),
            "title": f"Exception from {verdict.requirement}",
            "description": f"{escaped(title)}: not met, and excused for a limited time.",
            "statement": f"Approved by {len(set(grant.approvers))} people.",
            "props": [prop("exception", grant.id)],
            "status": "deviation-approved",
            "deadline": instant(grant.until),
        }
        if grant.compensating:
            risk["mitigating-factors"] = [
                {
                    "uuid": self.uuid(tier, "measure", verdict.requirement, str(number)),
                    "description": escaped(measure),
                }
                for number, measure in enumerate(grant.compensating)
            ]
        return risk

    def _risk_id(self, tier: str, verdict: Verdict) -> str:
        return self.uuid(tier, "risk", verdict.requirement)


def _reviewed(ids: Sequence[str]) -> dict[str, Any]:
    """The controls and objectives of a tier; of all, where a tier asks for none."""
    if not ids:
        return {"control-selections": [{"include-all": {}}]}
    return {
        "control-selections": [{"include-controls": [{"control-id": control_id(i)} for i in ids]}],
        "control-objective-selections": [
            {"include-objectives": [{"objective-id": objective_id(i)} for i in ids]}
        ],
    }


def _cited(verdict: Verdict) -> Iterator[str]:
    """The ids of the items that a verdict rests on."""
    for proof in (verdict.proof, *verdict.against):
        yield from _items(proof)


def _items(proof: Proof) -> Iterator[str]:
    yield from proof.items
    for below in proof.of:
        yield from _items(below)


def _ends(tier: TierVerdict) -> dict[str, int]:
    """When each item stops to satisfy anything that it satisfies at this tier."""
    ends: dict[str, int] = {}
    for verdict in tier.verdicts:
        for leaf in satisfied_leaves(verdict.proof):
            for id_ in leaf.items if leaf.until is not None else ():
                ends[id_] = max(ends.get(id_, 0), leaf.until or 0)
    return ends
