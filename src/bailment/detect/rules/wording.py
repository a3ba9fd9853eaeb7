"""Words that sentences of findings share."""

from __future__ import annotations

from bailment.ledger.context import Context


def where(context: Context) -> str:
    """The network that a request came from, its country, and what kind of address it was."""
    network = context.network if context.asn else "a network that no table has"
    return " ".join(filter(None, (network, context.country, context.address)))


def where_by(context: Context, client: str) -> str:
    """The same, and by which client."""
    return f"{where(context)} by `{client}`" if client else where(context)


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
