"""Trying old secrets against the public port: what was cut is dead only if it is refused."""

from __future__ import annotations

from pathlib import Path

import httpx2

from bailment.errors import BailmentError

_REFUSED = (401, 403)


def refuses_token(url: str, file: Path) -> bool:
    """Whether the gateway refuses the access token in a file, with nothing to prove it by."""
    token = file.read_text().strip()
    try:
        answer = httpx2.get(
            f"{url}/v1/models", headers={"authorization": f"DPoP {token}"}, timeout=10, verify=True
        )
    except httpx2.HTTPError as error:
        raise BailmentError(f"cannot try `{file}` against {url}: {error}") from None
    return answer.status_code in _REFUSED
