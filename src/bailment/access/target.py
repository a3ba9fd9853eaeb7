"""The `htu` of a DPoP proof, compared as RFC 9449 §4.3 item 9 says."""

from __future__ import annotations

import re

from bailment.errors import FormatError

_PORTS = {"http": 80, "https": 443}
_PRINTABLE = re.compile(r"[!-~]{1,2048}")
_AUTHORITY = re.compile(r"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


def normalise(url: str) -> str:
    """`url` without query and fragment, normalised by RFC 3986 §6.2.2 and §6.2.3.

    FormatError unless it is an absolute `http` or `https` URL of printable ASCII with a host
    and no user information, at most 2048 characters.
    """
    if not _PRINTABLE.fullmatch(url):
        raise FormatError("the URL is not 1 to 2048 characters of printable ASCII")
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in _PORTS:
        raise FormatError("the URL is neither `http` nor `https`")
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    authority, slash, path = rest.partition("/")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise FormatError("the URL has no plain host")
    host = match[1].lower()
    port = int(match[2] or _PORTS[scheme])
    where = host if port == _PORTS[scheme] else f"{host}:{port}"
    return f"{scheme}://{where}{_remove_dots(_unescape(slash + path) or '/')}"


def _unescape(text: str) -> str:
    """Decode escaped unreserved characters and write the other escapes in upper case."""

    def one(match: re.Match[str]) -> str:
        if match[1] is None:
            raise FormatError("the URL holds a broken percent-escape")
        character = chr(int(match[1], 16))
        return character if _UNRESERVED.fullmatch(character) else match[0].upper()

    return _ESCAPE.sub(one, text) if "%" in text else text


def _remove_dots(path: str) -> str:
    """RFC 3986 §5.2.4 for a path that starts with a slash."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
