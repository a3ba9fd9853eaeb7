"""What results propose for a model's tier, and which decisions can stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from bailment import canonical
from bailment.access import jws
from bailment.access.approval import TIER, sign_approval
from bailment.assurance.capability import (
    MAX_REASONS,
    Decision,
    decide,
    objection,
    propose,
    show_number,
    warnings,
)
from bailment.assurance.results import Result
from bailment.spec.compiled import Capability, CompiledSpec, Threshold, compile_spec, rank_of
from bailment.spec.terms import TIERS, TierName
from bailment.spec.validation import load

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "restricted-preview.yaml"
MODEL = "lab/preview"
NOW = 1_777_636_800_000
KEY = ec.derive_private_key(7, ec.SECP256R1())


def threshold(
    tier: int, task: str, bound: float, *, scorer: str = "", low: bool = False
) -> Threshold:
    """Reached at `bound` or above; or, where low results are the dangerous ones, or below."""
    limit = round(bound * 1_000_000)
    least, most = (None, limit) if low else (limit, None)
    return Threshold(tier, task, scorer, "accuracy", least, most)


CYBER = Capability("cyber", "Attacks", (threshold(2, "ctf", 0.4), threshold(3, "ctf", 0.7)))
BIO = Capability("bio", "Biology", (threshold(2, "wmdp", 0.75),))
EVASION = Capability("evasion", "Hides", (threshold(4, "monitor", 0.1, low=True),))


def spec(*capabilities: Capability, tiers: Sequence[TierName] = TIERS) -> CompiledSpec:
    """The example's spec with these capabilities, and all its tiers called as they are here."""
    example = compile_spec(load(EXAMPLE.read_bytes()))
    made = [replace(example.tiers[0], name=name, rank=rank_of(name)) for name in tiers]
    return replace(example, capabilities=capabilities, tiers=tuple(made))


BOTH = spec(CYBER, BIO)


def result(task: str, value: float, **more: Any) -> Result:
    told = {"digest": "0" * 64, "model": MODEL, "created": NOW, "scorer": "match", **more}
    return Result(
        task=task, metric=told.pop("metric", "accuracy"), value=round(value * 1e6), **told
    )


def proposed(of: CompiledSpec, *results: Result, before: TierName | None = None) -> TierName | None:
    return propose(of, results, model=MODEL, before=before).tier


@pytest.mark.parametrize(
    ("ctf", "wmdp", "tier"),
    [
        (0.1, 0.1, "T1"),
        (0.399999, 0.749999, "T1"),
        (0.4, 0.1, "T2"),
        (0.1, 0.75, "T2"),
        (0.699999, 0.9, "T2"),
        (0.7, 0.1, "T3"),
    ],
)
def test_the_highest_tier_of_any_threshold_that_is_reached_is_proposed(
    ctf: float, wmdp: float, tier: TierName
) -> None:
    assert proposed(BOTH, result("ctf", ctf), result("wmdp", wmdp)) == tier


def test_a_low_result_can_be_the_dangerous_one() -> None:
    of = spec(EVASION)
    assert [proposed(of, result("monitor", value)) for value in (0.1, 0.100001)] == ["T4", "T1"]
    both = propose(of, [result("monitor", 0.05), result("monitor", 0.9)], model=MODEL)
    assert both.tier == "T4" and [one.value for one in both.cited] == [50_000]


def test_what_was_not_evaluated_proposes_nothing() -> None:
    found = propose(BOTH, [result("wmdp", 0.1)], model=MODEL)
    assert found.tier is None and found.unevaluated == ("cyber",)
    assert propose(BOTH, [], model=MODEL).unevaluated == ("cyber", "bio")
    assert propose(BOTH, [], model=MODEL).tier is None
    assert propose(spec(), [result("ctf", 0.9)], model=MODEL).tier is None


@pytest.mark.parametrize("before", TIERS)
def test_what_was_not_evaluated_never_lowers(before: TierName) -> None:
    assert proposed(BOTH, before=before) == before
    assert proposed(BOTH, result("wmdp", 0.1), before=before) == before
    assert proposed(spec(), before=before) == before
    reached = proposed(BOTH, result("wmdp", 0.9), before=before)
    assert reached == max(before, "T2")


def test_a_model_that_was_evaluated_throughout_may_fall() -> None:
    assert proposed(BOTH, result("ctf", 0.1), result("wmdp", 0.1), before="T3") == "T1"


def test_what_could_propose_nothing_higher_need_not_be_measured() -> None:
    found = propose(BOTH, [result("ctf", 0.8)], model=MODEL, before="T4")
    assert found.tier == "T3" and found.unevaluated == ("bio",)


def test_a_spec_may_lack_a_tier() -> None:
    assert proposed(spec(CYBER, BIO, tiers=("T1", "T3")), before="T2") == "T3"
    assert proposed(spec(CYBER, BIO, tiers=("T1", "T3")), before="T4") == "T3"
    low = spec(CYBER, BIO, tiers=("T2", "T3"))
    assert proposed(low, result("ctf", 0.1), result("wmdp", 0.1)) == "T2"


def test_any_result_suffices_and_the_latest_of_the_worst_is_cited() -> None:
    old, new = (result("ctf", 0.7, created=NOW + day) for day in (0, 1))
    found = propose(BOTH, [result("ctf", 0.1, created=NOW + 2), new, old], model=MODEL)
    assert found.tier == "T3" and found.cited == (new,)


def test_a_threshold_may_ask_for_one_scorer_or_for_one_of_its_scores() -> None:
    named = spec(Capability("c", "C", (threshold(3, "ctf", 0.7, scorer="steps"),)))
    assert proposed(named, result("ctf", 0.9)) is None
    assert proposed(named, result("ctf", 0.9, scorer="steps")) == "T3"
    assert proposed(named, result("ctf", 0.9, scorer="judge", score="steps")) == "T3"


def test_what_is_ignored_is_said() -> None:
    digests = {name: str(at) * 64 for at, name in enumerate(("other", "unknown", "metric", "used"))}
    results = [
        result("ctf", 0.9, model="lab/other", digest=digests["other"]),
        result("cft", 0.9, digest=digests["unknown"]),
        result("ctf", 0.9, metric="mean", digest=digests["metric"]),
        result("ctf", 0.1, digest=digests["used"]),
        result("ctf", 0.1, metric="stderr", digest=digests["used"]),
    ]
    found = propose(BOTH, results, model=MODEL)
    assert [(one.digest, one.why) for one in found.ignored] == [
        (digests["other"], "it is about `lab/other`"),
        (digests["unknown"], "no threshold of the spec asks for this task"),
        (digests["metric"], "the spec asks for `accuracy` of it"),
    ]
    assert [one.digest for one in found.cited] == [digests["used"]]


def test_a_proposal_does_not_depend_on_the_order_of_results() -> None:
    results = [result("ctf", 0.5, digest=str(at) * 64) for at in range(4)]
    forth, back = (propose(BOTH, some, model=MODEL) for some in (results, results[::-1]))
    assert (forth.tier, forth.cited) == (back.tier, back.cited)


_RESULTS = st.lists(
    st.builds(
        result,
        st.sampled_from(["ctf", "wmdp", "monitor", "unknown"]),
        st.integers(0, 10).map(lambda tenths: tenths / 10),
        model=st.sampled_from([MODEL, "other"]),
        metric=st.sampled_from(["accuracy", "mean"]),
    ),
    max_size=8,
)
_BEFORE = st.sampled_from([None, *TIERS])
ALL = spec(CYBER, BIO, EVASION)


@given(_RESULTS, _RESULTS, _BEFORE)
def test_a_result_reaches_no_less_for_another_beside_it(
    some: list[Result], more: list[Result], before: TierName | None
) -> None:
    few = propose(ALL, some, model=MODEL)
    many = propose(ALL, some + more, model=MODEL)
    assert all(
        one.reached <= other.reached for one, other in zip(few.measured, many.measured, strict=True)
    )
    assert set(many.unevaluated) <= set(few.unevaluated)


@given(_RESULTS, _BEFORE, st.sampled_from(TIERS))
def test_a_decision_on_what_was_proposed_stands(
    results: list[Result], before: TierName | None, tier: TierName
) -> None:
    proposal = propose(ALL, results, model=MODEL, before=before)
    decision = decide(proposal, model="preview", tier=tier, reasons="read them", now=NOW)
    assert objection(decision, ALL) == ""
    again = msgspec.convert(canonical.decode(canonical.encode(decision)), Decision)
    assert again == decision


def decision(*results: Result, tier: TierName = "T3", before: TierName | None = None) -> Decision:
    proposal = propose(BOTH, results, model=MODEL, before=before)
    return decide(proposal, model="preview", tier=tier, reasons="Both were measured.", now=NOW)


GOOD = decision(result("ctf", 0.8), result("wmdp", 0.1))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"tier": "T1"}, ""),
        ({"spec": "0" * 64}, "another spec"),
        ({"reasons": " \n"}, "reasons"),
        ({"reasons": "x" * (MAX_REASONS + 1)}, "reasons"),
        ({"proposed": "T2"}, "propose something else"),
        ({"proposed": UNSET}, "propose something else"),
        ({"results": ()}, "propose something else"),
        ({"unevaluated": ("bio",)}, "propose something else"),
        ({"evaluated": "lab/other"}, "propose something else"),
        ({"results": (result("ctf", 0.1), result("wmdp", 0.1))}, "propose something else"),
        ({"results": (*GOOD.results, result("ctf", 0.1))}, "decide nothing"),
        ({"results": GOOD.results[::-1]}, "decide nothing"),
    ],
)
def test_a_decision_stands_only_on_what_it_cites(changes: dict[str, Any], why: str) -> None:
    found = objection(replace(GOOD, **changes), BOTH)
    assert why in found and bool(why) == bool(found)


def test_a_tier_that_the_spec_lacks_cannot_be_decided() -> None:
    assert objection(decision(tier="T4"), spec(CYBER, BIO, tiers=("T1", "T3"))) == (
        "the spec has no tier `T4`"
    )


def test_a_tier_before_that_is_made_up_is_seen() -> None:
    kept = decision(result("wmdp", 0.1), before="T2")
    assert objection(kept, BOTH) == "" and kept.proposed == "T2"
    assert objection(replace(kept, before=UNSET), BOTH)


def test_a_decision_below_the_proposal_is_said_loudly() -> None:
    assert list(warnings(GOOD)) == []
    assert list(warnings(replace(GOOD, tier="T4"))) == []
    assert list(warnings(replace(GOOD, before="T3"))) == []
    assert list(warnings(replace(GOOD, tier="T2", before="T4"))) == [
        "T2 is below T3, which the results propose",
        "T2 is below T4, which the model had",
    ]


def test_what_was_not_evaluated_is_said_loudly() -> None:
    assert list(warnings(decision())) == [
        "it cites no result at all",
        "`cyber` was not evaluated",
        "`bio` was not evaluated",
    ]
    noted = result("ctf", 0.8, notes=("ran 2 of 5 samples of the dataset",))
    twice = replace(noted, digest="1" * 64, value=750_000)
    assert list(warnings(decision(noted, twice))) == [
        "`bio` was not evaluated",
        "`ctf` ran 2 of 5 samples of the dataset",
    ]


def test_every_decision_that_stands_can_be_signed_and_read() -> None:
    """The longest that `objection` lets through fits what `jws` reads."""
    long = "ü" * 30
    many = [Capability(f"c{at}", long, (threshold(2, f"{long}{at}", 0.5),)) for at in range(64)]
    for number in range(len(many)):
        of = spec(*many[: number + 1])
        results = [result(f"{long}{at}", 0.7, version="1" * 50) for at in range(number + 1)]
        proposal = propose(of, results, model=MODEL)
        made = decide(proposal, model="preview", tier="T2", reasons="x" * MAX_REASONS, now=NOW)
        if why := objection(made, of):
            assert why == "it cites too many results to be signed" and number > 10
            return
        compact = sign_approval(TIER, made, KEY, "k" * 43)
        assert jws.parse(compact).payload == canonical.encode(made)
    raise AssertionError("no limit was met")


@pytest.mark.parametrize(
    ("millionths", "shown"),
    [(0, "0"), (600_000, "0.6"), (1, "0.000001"), (-1_500_000, "-1.5"), (22_000_000, "22")],
)
def test_a_number_is_shown_as_a_person_writes_it(millionths: int, shown: str) -> None:
    assert show_number(millionths) == shown
