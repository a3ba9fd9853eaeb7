"""The profile folder: who may read it, and what is refused as one."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bailment.agent import private, profile
from bailment.agent.profile import Device, Profile, default_folder, gateway_url
from bailment.errors import ConfigurationError

FIELDS: dict[str, Any] = {
    "gateway": "https://gateway.example",
    "device": "a" * 32,
    "person": "b" * 32,
    "key_class": "software",
    "status": "active",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a key and a profile."""
    folder = tmp_path / "bailment" / "default"
    key = profile.device_key(folder)
    profile.save(Device(folder, Profile(**FIELDS), key))
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_may_read_the_folder_the_key_or_the_profile(folder: Path) -> None:
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        "device.pem": 0o600,
        "profile.json": 0o600,
    }


def test_a_profile_is_loaded_as_it_was_saved(folder: Path) -> None:
    device = profile.load(folder)
    assert device.profile == Profile(**FIELDS)
    assert device.key.curve.name == "secp256r1"


def test_the_key_is_not_in_what_is_printed_of_a_device(folder: Path) -> None:
    assert "key=" not in repr(profile.load(folder))


@pytest.mark.parametrize(
    ("name", "bits", "mend"),
    [
        ("device.pem", 0o640, "chmod 600"),
        ("device.pem", 0o602, "chmod 600"),
        ("profile.json", 0o644, "chmod 600"),
        ("", 0o750, "chmod 700"),
        ("", 0o701, "chmod 700"),
    ],
)
def test_what_others_may_touch_is_refused_with_the_command_that_mends_it(
    name: str, bits: int, mend: str, folder: Path
) -> None:
    path = folder / name
    path.chmod(bits)
    with pytest.raises(ConfigurationError, match="open to other users") as caught:
        profile.load(folder)
    assert caught.value.hint == f"{mend} {path}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({**FIELDS, "gatway": "x"}),
        json.dumps({**FIELDS, "device": "A" * 32}),
        json.dumps({**FIELDS, "device": "a" * 33}),
        json.dumps({**FIELDS, "status": "revoked"}),
        json.dumps({**FIELDS, "key_class": "hardware"}),
        json.dumps({**FIELDS, "models": "m-1"}),
        json.dumps(FIELDS)[:-1] + ', "status": "active"}',
        json.dumps({**FIELDS, "gateway": "http://gateway.example"}),
        " " * 70_000,
    ],
)
def test_a_profile_that_is_not_exactly_one_is_refused(text: str, folder: Path) -> None:
    (folder / "profile.json").write_text(text)
    with pytest.raises(ConfigurationError):
        profile.load(folder)


def test_a_misspelt_key_is_named(folder: Path) -> None:
    (folder / "profile.json").write_text(json.dumps({**FIELDS, "modles": []}))
    with pytest.raises(ConfigurationError, match="modles") as caught:
        profile.load(folder)
    assert "enrol again" in caught.value.hint


def test_where_nothing_was_enrolled_the_hint_says_how(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no profile") as caught:
        profile.load(tmp_path)
    assert "bailment enrol" in caught.value.hint


def test_a_key_that_is_not_ours_to_sign_with_is_refused(folder: Path) -> None:
    path = folder / "device.pem"
    other = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for content in (other, path.read_bytes()[:100], b"", b"-----BEGIN PRIVATE KEY-----"):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"device\.pem"):
            profile.load(folder)


def test_a_link_in_the_place_of_the_key_is_not_followed(folder: Path) -> None:
    path = folder / "device.pem"
    path.rename(folder / "elsewhere.pem")
    path.symlink_to("elsewhere.pem")
    with pytest.raises(ConfigurationError, match="cannot read"):
        profile.load(folder)


def test_a_folder_that_holds_a_profile_is_not_enrolled_over(folder: Path) -> None:
    before = (folder / "device.pem").read_bytes()
    with pytest.raises(ConfigurationError, match="holds a profile already"):
        profile.device_key(folder)
    assert (folder / "device.pem").read_bytes() == before


def test_the_key_of_an_enrolment_that_failed_is_used_again(tmp_path: Path) -> None:
    first, second = (profile.device_key(tmp_path / "d") for _ in range(2))
    assert first.private_numbers() == second.private_numbers()


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    private.make_key(tmp_path / "key.pem")
    with pytest.raises(ConfigurationError, match="exists already"):
        private.make_key(tmp_path / "key.pem")


def test_profiles_lie_where_the_xdg_specification_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "bailment" / "default"
    monkeypatch.setenv("HOME", "/home/a")
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CONFIG_HOME", ignored)
        assert default_folder("work") == Path("/home/a/.config/bailment/work")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", ".hidden", "a" * 65, "a\n"])
def test_a_name_that_leads_elsewhere_is_no_profile_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a profile"):
        default_folder(name)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://Gateway.Example:443/", "https://gateway.example"),
        ("https://gateway.example:8443", "https://gateway.example:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_gateway_has_one_spelling(url: str, plain: str) -> None:
    assert gateway_url(url) == plain


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.example",
        "http://192.0.2.1",
        "http://localhost.example",
        "ftp://gateway.example",
        "gateway.example",
        "https://gateway.example/v1",
        "https://gateway.example/?a=b",
        "https://gateway.example#x",
        "https://user@gateway.example",
        "",
    ],
)
def test_a_url_that_is_no_gateways_or_would_not_be_private_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        gateway_url(url)
