"""A key in a TPM: made there, used there, and worth nothing anywhere else."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bailment.access import attestation, jwk, jws
from bailment.agent import place, profile, tpm, tpm_key
from bailment.agent.tpm import TpmError
from bailment.agent.tpm_key import Attester, TpmKey
from bailment.errors import ConfigurationError

from ..software_tpm import DEVICE, Maker, maker, running

ES256 = ec.ECDSA(SHA256())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    folder = tmp_path_factory.mktemp("tpms")
    found = maker(folder / "maker")
    found.make(folder / "maker" / "state")
    return found


@pytest.fixture
def machine(made: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with a TPM, and a folder for a profile."""
    shutil.copytree(made.folder / "state", tmp_path / "state")
    with running(tmp_path / "state") as path:
        monkeypatch.setenv(tpm.VARIABLE, path)
        yield tmp_path / "profile"


def test_a_key_is_made_in_the_tpm_and_signs_as_any_other(machine: Path) -> None:
    key, told = place.key_for(machine, "tpm")
    assert isinstance(key, TpmKey)
    assert told == "the key is in this machine's TPM, and cannot leave it"
    public = jwk.from_key(key.public_key())
    assert jws.verify(jws.parse(jws.sign({}, b"{}", key)), public)
    found = attestation.read_device_key(key.public, public)
    assert found.attributes == DEVICE
    assert (key.curve.name, key.key_size) == ("secp256r1", 256)


def test_nothing_gets_the_key_out(machine: Path) -> None:
    key, _ = place.key_for(machine, "tpm")
    with pytest.raises(UnsupportedAlgorithm):
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(UnsupportedAlgorithm):
        key.private_numbers()
    with pytest.raises(UnsupportedAlgorithm):
        key.exchange(ec.ECDH(), key.public_key())
    with pytest.raises(UnsupportedAlgorithm):
        key.sign(b"x", ec.ECDSA(SHA384()))


def test_the_blob_is_its_owners_alone_and_there_is_no_key_file(machine: Path) -> None:
    place.key_for(machine, "tpm")
    assert [one.name for one in machine.iterdir()] == [tpm_key.KEY]
    assert stat.S_IMODE((machine / tpm_key.KEY).stat().st_mode) == 0o600


def test_an_enrolment_that_came_to_nothing_leaves_its_key_for_the_next(machine: Path) -> None:
    first, _ = place.key_for(machine, "tpm")
    again, _ = place.key_for(machine, "auto")
    assert again is first


def test_who_asks_for_another_place_gets_another_key(machine: Path) -> None:
    first, _ = place.key_for(machine, "auto")
    second, told = place.key_for(machine, "software")
    assert isinstance(first, TpmKey)
    assert not isinstance(second, TpmKey)
    assert told == "the key is in a file: whoever copies it has it too"
    assert [one.name for one in machine.iterdir()] == [profile.KEY]


def test_on_another_machine_a_copy_of_the_blob_is_useless(
    machine: Path, made: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.key_for(machine, "tpm")
    shutil.copytree(machine, tmp_path / "copy")
    made.make(tmp_path / "other")
    with running(tmp_path / "other") as path:
        monkeypatch.setenv(tpm.VARIABLE, path)
        with pytest.raises(TpmError, match="does not know this device's key") as caught:
            tpm_key.load_key(tmp_path / "copy" / tpm_key.KEY)
    assert caught.value.code & 0x3F == 0x1F  # TPM_RC_INTEGRITY
    assert "enrol this machine anew" in caught.value.hint


def test_a_tpm_that_forgot_the_key_is_given_it_again(machine: Path) -> None:
    """As after a machine slept."""
    key, _ = place.key_for(machine, "tpm")
    assert isinstance(key, TpmKey)
    key.use(lambda tpm, handle: tpm.flush(handle))
    key.public_key().verify(key.sign(b"x", ES256), b"x", ES256)


def test_keys_that_nobody_holds_any_more_do_not_fill_the_tpm(machine: Path) -> None:
    """It has room for three."""
    place.key_for(machine, "tpm")
    for _ in range(5):
        key = tpm_key.load_key(machine / tpm_key.KEY)
        Attester(key).forget()
        key.sign(b"x", ES256)
        del key


def test_a_damaged_blob_is_refused(machine: Path) -> None:
    place.key_for(machine, "tpm")
    blob = machine / tpm_key.KEY
    for text in (b"", b"{}", b'{"public":"AA","private":"AA"}', blob.read_bytes()[:100]):
        blob.write_bytes(text)
        with pytest.raises(ConfigurationError, match=r"the key in .* is damaged"):
            tpm_key.load_key(blob)


def test_without_a_tpm_auto_takes_a_file_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tpm.VARIABLE, str(tmp_path / "none"))
    key, told = place.key_for(tmp_path / "profile", "auto")
    assert not isinstance(key, TpmKey)
    assert told.startswith("the key is in a file, which can be copied: this machine has no TPM 2.0")
    with pytest.raises(TpmError, match="has no TPM"):
        place.key_for(tmp_path / "another", "tpm")


def test_what_is_no_tpm_is_told_from_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "not-a-tpm"
    path.write_bytes(b"")
    monkeypatch.setenv(tpm.VARIABLE, str(path))
    with pytest.raises(TpmError, match="cut short"):
        place.key_for(tmp_path / "profile", "tpm")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x80\x01",
        b"\x80\x01\x00\x00\x00\x0a\x00\x00\x00",
        b"\x80\x01\x00\x00\x00\x0b\x00\x00\x00\x00",
        b"\x80\x02\x00\x00\x00\x0e\x00\x00\x00\x00\xff\xff\xff\xff",
        b"\x80\x02\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x02\xff\xff",
    ],
)
def test_an_answer_that_is_none_is_an_error_and_no_crash(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "device"
    path.write_bytes(b"")
    monkeypatch.setattr(tpm._Device, "exchange", lambda self, command: answer)
    connection = tpm.Tpm(str(path))
    with pytest.raises((TpmError, tpm.FormatError)):
        connection.create(1, b"")


def test_a_busy_tpm_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "device"
    path.write_bytes(b"")
    answers = [b"\x80\x01\x00\x00\x00\x0a\x00\x00\x09\x22"] * 2
    answers.append(b"\x80\x01\x00\x00\x00\x0a\x00\x00\x00\x00")
    monkeypatch.setattr(tpm._Device, "exchange", lambda self, command: answers.pop(0))
    monkeypatch.setattr(tpm, "_PAUSE", 0)
    tpm.Tpm(str(path)).flush(1)
    assert answers == []


@pytest.mark.skipif(shutil.which("tpm2_print") is None, reason="apt-get install tpm2-tools")
def test_tpm2_tools_see_the_key_that_we_see(machine: Path, tmp_path: Path) -> None:
    """What others wrote, as a second opinion."""
    key, _ = place.key_for(machine, "tpm")
    assert isinstance(key, TpmKey)
    (tmp_path / "public").write_bytes(len(key.public).to_bytes(2, "big") + key.public)
    shown = subprocess.run(
        ["tpm2_print", "-t", "TPM2B_PUBLIC", str(tmp_path / "public")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    point = key.public_key().public_numbers()
    assert "value: fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign\n" in shown
    assert f"x: {point.x:064x}\ny: {point.y:064x}\n" in shown
