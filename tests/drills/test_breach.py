"""The breach, replayed: attackers are kept away from the issuer, and what comes of it is told."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from bailment.assurance.adapters import recognition
from bailment.assurance.adapters.report import Report
from bailment.clock import now_ms, simulated
from bailment.drills.breach import group as groups
from bailment.drills.breach import sandbox
from bailment.drills.breach.live import Live
from bailment.drills.breach.order import Order, Protected, Tried
from bailment.drills.breach.plot import draw
from bailment.drills.breach.report import report_of
from bailment.drills.breach.result import Background, Outcome, Result, outcome_of
from bailment.drills.breach.variants import NAMES, VARIANTS, strangers

CONFINED = """
import json, sys
from pathlib import Path
from bailment.drills.breach.sandbox import confine, probe
how = confine(Path(sys.argv[2]))
print(json.dumps([how, probe(Path(sys.argv[1]))]))
"""


def _tried(sent: int, status: int, reason: str = "") -> Tried:
    return Tried("stranger", sent, sent + 5, status, reason, 10 if status == 200 else 0)


def _outcome(tried: list[Tried], expected: str = "noticed") -> Outcome:
    return outcome_of("vpn", "t", 1, expected, "", "r", tried, [], [])  # type: ignore[arg-type]


def test_an_attackers_process_is_denied_the_issuers_folder(tmp_path: Path) -> None:
    issuer, own = tmp_path / "issuer", tmp_path / "own"
    issuer.mkdir(mode=0o700)
    own.mkdir(mode=0o700)
    (issuer / "bailment.toml").write_text("secret")
    (issuer / "secrets").mkdir()
    command = [sys.executable, "-P", "-c", CONFINED, str(issuer), str(own)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    how, tried = json.loads(done.stdout)
    if how == "none":
        pytest.skip("this kernel confines nobody, and the drill says so")
    for name in ("folder", "bailment.toml", "secrets"):
        assert tried[name] == "EACCES"
    assert "open" not in tried.values()


def test_an_attackers_process_may_read_whom_it_is_to_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = tmp_path / "roots.pem"
    assert roots not in (roots.touch(), *sandbox._readable())
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    assert roots in sandbox._readable()


def test_at_a_gateway_elsewhere_everybody_comes_from_this_machine() -> None:
    def live(url: str) -> Live:
        settings = SimpleNamespace(
            issuer=SimpleNamespace(url=url), listen=SimpleNamespace(proxies=["127.0.0.2/32"])
        )
        return Live(None, settings, None, print, "m", 1, 1)  # type: ignore[arg-type]

    stranger = strangers(VARIANTS[0], 0)[0]
    here, elsewhere = live("http://127.0.0.1:8000"), live("https://gateway.lab.example")
    assert (here._edge(), here._placed(stranger)) == ("127.0.0.2", stranger)
    assert (elsewhere._edge(), elsewhere._placed(stranger).address) == ("", "")
    assert "one network" in elsewhere._geography()


def test_only_a_groups_own_answers_count_against_a_refusal() -> None:
    refused = _outcome([_tried(1, 401, "proof-missing"), _tried(2, 401, "proof-key")])
    assert refused.outcome == "refused" and refused.refused is not None
    assert (refused.refused.name, refused.refused.request) == ("proof-missing", 1)
    answered = _outcome([_tried(1, 200), _tried(2, 401, "proof-key")])
    assert answered.outcome == "unseen" and not answered.as_expected
    assert (answered.answers, answered.tokens) == (1, 10)


def test_a_gateway_that_fails_has_refused_nobody() -> None:
    assert _outcome([_tried(1, 502, "upstream"), _tried(2, 0, "ReadError")]).outcome == "unseen"


def test_a_group_that_is_ended_in_the_middle_of_a_word_has_said_what_was_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [msgspec.json.encode(one) for one in (Protected("user", {}), _tried(1, 200))]
    told = b"\n".join((*lines, lines[1][:20]))
    says = f"import sys; sys.stdin.readline(); sys.stdout.buffer.write({told!r})"
    monkeypatch.setattr(groups, "_ATTACKERS", (sys.executable, "-c", says))
    group = groups.Group(Order("token", "", "", "", "", "", (), 1, 1))
    group.wait(60)
    assert group.tried == [_tried(1, 200)]


def test_nothing_is_claimed_of_two_who_relay_on_purpose() -> None:
    relay = next(one for one in VARIANTS if one.name == "relay-2")
    assert relay.expected == "open" and "cannot be seen" in relay.unseen
    assert _outcome([_tried(1, 200)], relay.expected).as_expected


def test_every_group_is_as_large_as_it_says() -> None:
    assert len(set(NAMES)) == len(VARIANTS) == 8
    for number, variant in enumerate(VARIANTS):
        group = strangers(variant, number)
        assert len({one.address for one in group}) == len(group) == variant.people


def test_the_picture_is_well_formed_and_says_what_is_simulated() -> None:
    result = Result(
        drill="d",
        name="breach <2026>",
        form="lab",
        simulated=True,
        started=1,
        ended=2,
        geography="",
        background=Background(2, 10, 0, {}, 1.0),
        variants=(_outcome([_tried(1, 401, "a&b")]), _outcome([_tried(1, 200)])),
    )
    root = ET.fromstring(draw(result))
    assert root.tag.endswith("svg")
    assert "SIMULATED" in "".join(root.itertext())


def test_a_labs_clock_goes_forward_only_and_is_put_right_at_the_end() -> None:
    real = now_ms()
    with simulated() as move:
        move(real + 10**9)
        move(real)
        assert now_ms() >= real + 10**9
    assert now_ms() < real + 10**9


def test_a_live_drill_is_evidence_that_the_adapter_reads() -> None:
    result = Result(
        drill="d",
        name="breach-2026",
        form="live",
        simulated=False,
        started=1_000,
        ended=9_000,
        geography="",
        background=Background(2, 10, 0, {"quota": 1}, 0.0),
        variants=(_outcome([_tried(1, 401, "proof-key")]),),
    )
    report = recognition.read(report_of(result, "drill.breach", "acme.example"))
    assert isinstance(report, Report)
    assert report.claims["noticed_after_ms"] == 5
    assert report.claims["false_alerts"] == 1
    assert report.checks["acme.example"] == {"breach-drill": "pass", "breach-drill.vpn": "pass"}
