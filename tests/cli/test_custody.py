"""Where a recipient's keys lie, as its admin says it and the lab reads it, on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from .lab import CONTACT, MARIA, MODEL, PURPOSE, Lab, ModelServer, Quick

pytestmark = pytest.mark.journey


def test_what_a_recipient_reports_leads_from_a_vendor_to_its_own(
    root: Path, model: ModelServer, quick: Quick
) -> None:
    lab = Lab(root / "custody", model, quick)
    lab.init()
    admin = ("--admin", lab.acme, "--gateway", lab.url)
    with lab.serving():
        lab.admin.ok("recipient", "key", lab.acme)
        lab.team.ok(
            *("recipient", "add", "acme", "--key", lab.acme / "admin.jwk"),
            *("--contact", CONTACT, "--model", MODEL, "--purpose", PURPOSE),
        )
        lab.enrol(lab.invite("Maria Silva", MARIA))
        (maria,) = lab.team.json("person", "list")
        device = f"device:{maria['devices'][0]['device']}"

        told = ("custody", "report", "ci-vault", *admin, "--kind", "secrets", "--since", "30d")
        told += ("--runs", "vendor:vaultly", "--reach", "vendor:mercury")
        foreign = lab.admin(*told, "--store", "device:" + "0" * 32)
        assert (foreign.status, "you have no `device:0000" in foreign.err) == (1, True)
        nothing = lab.admin(*told)
        assert (nothing.status, "say --store, or --end" in nothing.err) == (2, True)
        assert lab.team.json("custody", "list") == []
        said = lab.admin.ok(*told, "--store", device)
        assert said == "acme/ci-vault is in the custody map\n"

        (row,) = lab.team.json("custody", "list")
        assert (row["system"], row["kind"], row["runs"]) == (
            "acme/ci-vault",
            "secrets",
            "vendor vaultly",
        )
        assert row["reached"] == ["vendor mercury"]
        found = lab.team.json("blast-radius", "vendor:mercury")
        assert {"system:acme/ci-vault", device} <= {one["node"] for one in found["reached"]}
        assert "acme/ci-vault" in found["window"]["why"]

        lab.team.ok("log", "export", lab.root / "export")
        key = lab.team.ok("log", "vkey").strip()
        audited = lab.auditor("log", "audit", lab.root / "export", "--key", key)
        assert audited.status == 0, audited.out + audited.err

        ended = lab.admin.ok("custody", "report", "ci-vault", *admin, "--end")
        assert ended == "acme/ci-vault is in the custody map no longer\n"
        assert lab.team.json("custody", "list") == []
        gone = lab.team("blast-radius", "vendor:mercury")
        assert gone.status == 1
