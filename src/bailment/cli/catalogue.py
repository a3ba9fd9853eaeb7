"""The built-in spec and its mappings, read from the package's own data."""

from __future__ import annotations

from importlib.resources import files

from bailment.spec import builtin


def spec_text() -> str:
    """The whole built-in spec as YAML, with its comments."""
    return builtin.spec_text({name: _piece(name) for name in (builtin.SPEC, *builtin.FAMILIES)})


def mappings() -> dict[str, builtin.Framework]:
    """The frameworks that the requirements map to, by the prefix that `maps` has."""
    return builtin.read_mappings(_piece(builtin.MAPPINGS).encode())


def _piece(name: str) -> str:
    return (files("bailment.spec") / "catalogue" / f"{name}.yaml").read_text(encoding="utf-8")
