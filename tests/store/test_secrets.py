"""The issuer's secrets: as private as they were made, and named when they are not right."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bailment.errors import ConfigurationError
from bailment.store.durable import Files
from bailment.store.folder import Folder
from bailment.store.secrets import load_secrets, make_secrets

NAMES = ("log.key", "issuer.pem", "bodies.key")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    make_secrets(folder, "log.example/bailment", Files())
    return folder


def test_what_was_made_is_loaded_again(tmp_path: Path) -> None:
    made = make_secrets(Folder(tmp_path), "log.example/bailment", Files())
    loaded = load_secrets(Folder(tmp_path))
    assert loaded.log.public.vkey == made.log.public.vkey
    assert loaded.issuer_key == made.issuer_key
    assert loaded.kek == made.kek


def test_secrets_are_the_owners_alone(folder: Folder) -> None:
    assert stat.S_IMODE(folder.secrets.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.secrets.iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert stat.S_IMODE((folder.secrets / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_that_others_may_read_is_named(folder: Folder, name: str) -> None:
    (folder.secrets / name).chmod(0o640)
    with pytest.raises(ConfigurationError, match=name):
        load_secrets(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_that_is_missing_is_named(folder: Folder, name: str) -> None:
    (folder.secrets / name).unlink()
    with pytest.raises(ConfigurationError, match=name):
        load_secrets(folder)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"nonsense\n"])
def test_a_secret_that_is_damaged_is_refused(folder: Folder, name: str, data: bytes) -> None:
    (folder.secrets / name).write_bytes(data)
    with pytest.raises(ConfigurationError, match="damaged"):
        load_secrets(folder)


def test_an_issuers_key_on_another_curve_is_refused(folder: Folder) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder.secrets / "issuer.pem").write_bytes(pem)
    with pytest.raises(ConfigurationError, match="P-256"):
        load_secrets(folder)
