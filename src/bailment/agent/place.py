"""Where a new device's key is made: in the machine's TPM, or in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec

from bailment.agent import profile, tpm_key
from bailment.agent.tpm import TpmError

Place = Literal["auto", "tpm", "software"]


def key_for(folder: Path, place: Place) -> tuple[ec.EllipticCurvePrivateKey, str]:
    """The key of a folder that has no profile yet, and a sentence for the person on where it is.

    It is a new one, or what an enrolment that came to nothing left there, unless that one is in
    another place. TpmError for `tpm` where none can be used; `auto` then takes a file.
    """
    profile.check_free(folder)
    file, blob = folder / profile.KEY, folder / tpm_key.KEY
    if place == "software":
        blob.unlink(missing_ok=True)
        return profile.device_key(folder), "the key is in a file: whoever copies it has it too"
    try:
        key = tpm_key.load_key(blob) if blob.exists() else tpm_key.make_key(blob)
    except TpmError as error:
        if place == "tpm":
            raise
        blob.unlink(missing_ok=True)
        told = f"the key is in a file, which can be copied: {error}"
        return profile.device_key(folder), told + (f" ({error.hint})" if error.hint else "")
    file.unlink(missing_ok=True)
    return key, "the key is in this machine's TPM, and cannot leave it"
