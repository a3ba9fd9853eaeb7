"""What is told of where a request came from changes no fold, and so no decision.

That an audit of a log with contexts is clean is shown by `test_gateway_log.py`.
"""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.access.decision import Request
from bailment.access.fold import Fold
from bailment.ledger.context import Context
from bailment.ledger.records import AccessOpened, AccessRefused
from bailment.ledger.tree import leaf_hash

from .conftest import Past

WORDS = st.text("abc/ 0", max_size=8)
CONTEXTS = st.builds(
    Context,
    asn=st.integers(0, 2**32 - 1),
    country=st.sampled_from(("", "SE")),
    address=st.sampled_from(("", "tor")),
    prefix=WORDS,
    client=WORDS,
    workspace=WORDS,
    conversation=WORDS,
)


@settings(max_examples=5, deadline=None)
@given(st.lists(CONTEXTS, min_size=3, max_size=7))
def test_no_context_changes_a_fold(past: Past, contexts: list[Context]) -> None:
    plain, told, replaced = Fold(), Fold(), 0
    for record in past.reader().records():
        facts = record.facts
        if isinstance(facts, AccessOpened | AccessRefused):
            facts = msgspec.structs.replace(facts, context=contexts[record.index % len(contexts)])
            replaced += 1
        plain.follow(record.leaf, leaf_hash(record.entry), record.facts)
        told.follow(record.leaf, leaf_hash(record.entry), facts)
    assert replaced > 100
    assert told.encode() == plain.encode()


def test_a_decision_is_not_asked_with_one() -> None:
    assert "context" not in Request.__struct_fields__
