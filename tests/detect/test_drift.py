"""Use off purpose: what is told of, what is not, and what may teach the reference."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.detect import drift
from bailment.detect.drift import ENOUGH, FULL, PER_DAY, Prompt, Scope, State, pack
from bailment.detect.event import Finding
from bailment.detect.grouping import finding_of
from bailment.detect.wordpiece import pieces, words
from bailment.spec.detection import RULES

TERMS = RULES[drift.KIND]
DAY, MINUTE = 86_400_000, 60_000
BUDGET = 100_000
SIZE = 12


def vector(chance: random.Random, topic: int) -> bytes:
    """Near the axis of its topic, with some of everything."""
    return pack([float(at == topic) * 2 + chance.random() for at in range(SIZE)])


def prompt(index: int, body: bytes, *, device: str = "d", time: int = 0) -> Prompt:
    return Prompt(index, time or index * MINUTE, "r", device, "defence", "m", body)


def run(state: State, prompts: list[Prompt]) -> list[Finding]:
    found: list[Finding] = []
    for one in prompts:
        state, told = drift.step(state, one, one.time, TERMS, BUDGET)
        found += told
    return found


def taught(chance: random.Random, count: int = 300) -> State:
    state = State()
    assert run(state, [prompt(n, vector(chance, n % 3)) for n in range(count)]) == []
    return state


def scope(state: State) -> Scope:
    (only,) = state.scopes.values()
    return only


def test_ten_prompts_off_purpose_are_told_of_with_figures_and_no_prompt() -> None:
    chance = random.Random(1)
    state = taught(chance)
    (found,) = run(state, [prompt(n, vector(chance, 9), device="e") for n in range(300, 310)])
    assert (found.kind, found.subject, found.others) == (drift.KIND, "device:e", ("recipient:r",))
    assert found.records == tuple(range(300, 310))
    numbers = found.numbers
    assert numbers["similarity_permille"] < numbers["line_permille"] < numbers["usual_permille"]
    assert "`defence`" in found.sentence and "earlier prompts" in found.sentence


def test_prompts_as_before_are_not_told_of() -> None:
    chance = random.Random(2)
    state = taught(chance)
    assert run(state, [prompt(n, vector(chance, n % 3)) for n in range(300, 800)]) == []


def test_nine_prompts_are_no_window_and_one_repeated_is_one() -> None:
    chance = random.Random(3)
    state = taught(chance)
    strange = [vector(chance, 9) for _ in range(9)]
    again = [*strange, *strange, *strange]
    assert run(state, [prompt(300 + n, body, device="e") for n, body in enumerate(again)]) == []


def test_what_was_told_of_never_enters_the_reference() -> None:
    chance = random.Random(4)
    state = taught(chance)
    strange = {vector(chance, 9) for _ in range(200)}
    told = run(state, [prompt(300 + n, body, device="e") for n, body in enumerate(strange)])
    assert len(told) == 20
    later = 600 * MINUTE + 2 * DAY
    run(state, [prompt(1000, vector(chance, 0), time=later)])
    assert not strange & {seen.vector for seen in scope(state).reference}


def test_a_window_that_was_judged_in_order_teaches_the_reference_and_one_of_misuse_does_not() -> (
    None
):
    chance = random.Random(8)
    state = taught(chance)
    window = [vector(chance, 9) for _ in range(10)]
    (found,) = run(state, [prompt(300 + n, body, device="e") for n, body in enumerate(window)])
    finding = finding_of(found)
    assert drift.judge(state, "0" * 32, "benign") == []
    assert drift.judge(state, finding, "misuse") == [*state.scopes]
    assert not {*window} & {seen.vector for seen in scope(state).reference}
    for _ in range(2):  # said twice it is no other
        assert drift.judge(state, finding, "benign") == [*state.scopes]
    reference = scope(state).reference
    assert len(reference) <= FULL
    assert [seen.vector for seen in reference if seen.device == "e"] == window
    again = [prompt(400 + n, vector(chance, 9), device="e") for n in range(10)]
    assert run(state, again) == []
    drift.judge(state, finding, "misuse")
    again = [prompt(500 + n, vector(chance, 9), device="e") for n in range(10)]
    assert len(run(state, again)) == 1


def test_windows_that_can_be_judged_are_bounded_and_expire() -> None:
    chance = random.Random(9)
    state = taught(chance)
    strange = [
        prompt(300 + 10 * window + n, vector(chance, 9), device=f"e{window}")
        for window in range(drift.FINDINGS + 5)
        for n in range(10)
    ]
    assert len(run(state, strange)) == drift.FINDINGS + 5
    assert len(scope(state).found) == drift.FINDINGS
    drift.expire(scope(state), strange[-1].time + 1)
    assert drift.vectors(scope(state)) == []


def test_what_is_quiet_enters_a_full_reference_after_a_day_and_little_by_little() -> None:
    chance = random.Random(5)
    state = taught(chance, 400)
    before = [seen.index for seen in scope(state).reference]
    assert len(before) == FULL
    run(state, [prompt(500, vector(chance, 0), time=399 * MINUTE + DAY)])
    after = [seen.index for seen in scope(state).reference]
    assert len(set(after) - set(before)) == PER_DAY


def test_vectors_expire_and_the_reference_is_learnt_anew() -> None:
    chance = random.Random(6)
    state = taught(chance)
    late = 300 * MINUTE + TERMS.window_ms + DAY
    run(state, [prompt(300, vector(chance, 9), time=late)])
    assert [seen.index for seen in scope(state).reference] == [300]


def test_recipients_and_purposes_are_bounded() -> None:
    state, body = State(), vector(random.Random(7), 0)
    for number in range(drift.SCOPES + 10):
        one = Prompt(number, number, f"r{number}", "d", "p", "m", body)
        drift.step(state, one, number, TERMS, BUDGET)
    assert len(state.scopes) == drift.SCOPES


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 139), max_size=80))
def test_prompts_that_come_again_or_late_change_nothing(seed: int, again: list[int]) -> None:
    chance = random.Random(seed)
    once = [prompt(n, vector(chance, n % 3 if n < 120 else 9)) for n in range(140)]
    disturbed: list[Prompt] = []
    for place, one in enumerate(once):
        disturbed.append(one)
        disturbed += [once[n] for n in again if n <= place and n % 7 == place % 7]
    plain, other = State(), State()
    assert run(plain, once) == run(other, disturbed)
    assert plain.scopes == other.scopes and other.late == len(disturbed) - len(once)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=64))
def test_any_vector_is_packed_and_as_like_itself_as_can_be(values: list[float]) -> None:
    body = pack(values)
    assert len(body) == len(values)
    assert drift.likeness(body, [body] * 5) <= 1.0001


def test_a_reference_of_silence_has_a_line() -> None:
    state = State()
    quiet = [prompt(n, bytes(SIZE), device=f"d{n}") for n in range(ENOUGH)]
    run(state, [*quiet, *(prompt(ENOUGH + n, bytes([n + 1] * SIZE)) for n in range(20))])
    assert len(scope(state).reference) >= ENOUGH


@settings(max_examples=50)
@given(st.text())
def test_any_text_has_words(text: str) -> None:
    vocabulary = {"a": 1, "##b": 2}
    found = pieces(text, vocabulary, 0, 8)
    assert len(found) <= 8 and set(found) <= {0, 1, 2}


def test_words_are_those_of_the_models_tokenizer() -> None:
    assert words("Ünïcödé, na\u200bïve\x00 ½ (漢字)_x\r\ny") == [
        *("unicode", ",", "naive", "½", "(", "漢", "字", ")", "_", "x", "y"),
    ]
    assert pieces("unaffable", {"un": 1, "##aff": 2, "##able": 3}, 0, 9) == [1, 2, 3]
