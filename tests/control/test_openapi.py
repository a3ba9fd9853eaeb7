"""The OpenAPI document: current, whole, and true of a running issuer."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from starlette.applications import Starlette

from bailment.access import base64url
from bailment.access.account import Account
from bailment.control.metadata import GRANTS, metadata
from bailment.control.operations import OPERATIONS
from bailment.control.schemas import STANDING

from ..world import Device, World, world

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "formats" / "openapi.json"
HOOKS = ROOT / "tests" / "clients" / "signing_hooks.py"
#: Examples for each operation: what a minute allows on a slow machine.
EXAMPLES = 25


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
def routes() -> Iterator[set[tuple[str, str]]]:
    """Method and path of each route of the issuers that start in this module."""
    seen: set[tuple[str, str]] = set()

    def make(*args: Any, **more: Any) -> Starlette:
        for route in more["routes"]:
            seen.update((method, route.path) for method in route.methods - {"HEAD"})
        return Starlette(*args, **more)

    with patch("bailment.control.public.Starlette", make):
        yield seen


@pytest.fixture(scope="module")
async def lab(
    tmp_path_factory: pytest.TempPathFactory, routes: set[tuple[str, str]]
) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


def test_the_document_in_formats_is_the_one_that_the_table_makes() -> None:
    module = runpy.run_path(str(ROOT / "formats" / "generate_openapi.py"))
    assert module["OUT"].read_text() == module["text"]()


async def test_every_route_is_in_the_table_and_no_other(
    lab: World, routes: set[tuple[str, str]]
) -> None:
    there = {(method, path.replace("{path:path}", "{path}")) for method, path in routes}
    assert {(one.method, one.path) for one in OPERATIONS} == there


def test_the_document_has_all_that_is_told_of_a_standing() -> None:
    assert list(STANDING["properties"]) == list(Account.__struct_fields__)
    assert sorted(Account.__struct_fields__) == STANDING["required"]


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [one.name for one in OPERATIONS]
    assert len(set(names)) == len(names)


# The metadata (RFC 8414) is compared with what the routes do.


async def test_the_metadata_is_whole_and_its_endpoints_answer(lab: World) -> None:
    found = (await lab.http.get(lab.url + "/.well-known/oauth-authorization-server")).json()
    assert found == json.loads(json.dumps(metadata(lab.register, tls=False)))
    assert found["issuer"] == lab.url
    for name in ("token_endpoint", "introspection_endpoint", "revocation_endpoint"):
        assert (await lab.http.post(found[name], data={"a": "b"})).status_code in (400, 401)
        assert (await lab.http.get(found[name])).status_code == 405
    (key,) = (await lab.http.get(found["jwks_uri"])).json()["keys"]
    issuer = lab.register.key(lab.register.state.issuer)
    assert (key["kid"], key["x"]) == (issuer.thumbprint, issuer.jwk["x"])
    assert "mtls_endpoint_aliases" not in found
    assert found["tls_client_certificate_bound_access_tokens"] is False


@pytest.mark.parametrize("grant", ["password", "refresh_token", "authorization_code"])
async def test_a_grant_that_the_metadata_does_not_name_is_refused(lab: World, grant: str) -> None:
    device: Device = await lab.device()
    assert grant not in metadata(lab.register, tls=False)["grant_types_supported"]  # type: ignore[operator]
    answered = await device.request_token(grant_type=grant)
    assert "`grant_type` must be" in answered.json()["error_description"]


@pytest.mark.parametrize("grant", GRANTS)
async def test_a_grant_that_the_metadata_names_is_known(lab: World, grant: str) -> None:
    device: Device = await lab.device()
    answered = await device.request_token(grant_type=grant)
    assert "`grant_type` must be" not in answered.json().get("error_description", "")


# Schemathesis sends what the document allows and what it does not, to a real server.

#: By nobody, and by a device that signs. What is well-formed is not accepted from either: the key
#: that may do it cannot be in the document.
CHECKS = {
    "nobody": ("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
    "a device": (
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,"
        "response_schema_conformance,response_headers_conformance",
    ),
}
#: A text that is too long may make the body too long first.
CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "413", "503"]
"""


@pytest.mark.slow
@pytest.mark.parametrize("who", CHECKS)
async def test_schemathesis_finds_nothing(lab: World, who: str, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    device: Device = await lab.device()
    secret = device.private.private_numbers().private_value.to_bytes(32, "big")
    key = {**device.public.jwk, "d": base64url.encode(secret)}
    signing = {"SCHEMATHESIS_HOOKS": str(HOOKS), "DEVICE_KEY": json.dumps(key)}
    media = {"SCHEMATHESIS_HOOKS": str(HOOKS.with_name("media_hooks.py"))}
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(DOCUMENT), "--url", lab.url),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)),
        *("--seed", "1", "--generation-deterministic"),
        *("--continue-on-failure", "--no-color", *CHECKS[who]),
    ]
    pipe = asyncio.subprocess.PIPE
    run = await asyncio.create_subprocess_exec(
        *command,
        cwd=tmp_path,
        env={**os.environ, **(signing if who == "a device" else media)},
        stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await run.communicate()
    assert run.returncode == 0, out.decode()
