"""Which adapter reads a file: from bytes to a report, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from bailment.assurance.adapters import (
    attestation,
    document,
    drill,
    dsse,
    intoto,
    maester,
    observation,
    oscal,
    prowler,
    scim,
    scuba,
)
from bailment.assurance.adapters.reading import Unreadable, parse
from bailment.assurance.adapters.report import Report, finished
from bailment.assurance.reasons import EvidenceReason, EvidenceRefused
from bailment.assurance.signers import Signer


class _Format(NamedTuple):
    """`recognises` gives the adapter's name or nothing, `read` the report or raises Unreadable."""

    recognises: Callable[[Any], str]
    read: Callable[[Any], Report]


_FORMATS = tuple(
    _Format(module.recognises, module.read)
    for module in (
        scuba,
        prowler,
        maester,
        scim,
        oscal,
        intoto,
        attestation,
        document,
        drill,
        observation,
    )
)
#: The names under which a spec can ask for them.
ADAPTERS = frozenset(
    {
        *scuba.ADAPTERS.values(),
        *(
            module.ADAPTER
            for module in (
                prowler,
                maester,
                scim,
                oscal,
                intoto,
                attestation,
                document,
                drill,
                observation,
            )
        ),
    }
)
#: Tools that are known to write a byte order mark: Windows PowerShell does.
_MARKED = frozenset({"scubagear/1", "maester/1"})
_STATEMENTS = frozenset({intoto.ADAPTER, attestation.ADAPTER})


def read(data: bytes, known: Sequence[Signer] = (), wanted: str = "") -> Report | EvidenceRefused:
    """The report that a file is, signed by whom of the `known`; never an exception.

    Of another adapter than the one `wanted`, if it is said, nothing is read.
    """
    try:
        value, marked = parse(data)
        if not dsse.recognises(value):
            return finished(_report(value, marked, wanted), data)
        if marked:
            raise _mark()
        opened = dsse.open_envelope(value, known)
        report = _report(*parse(opened.payload), wanted)
        if opened.is_statement != (report.adapter in _STATEMENTS):
            raise Unreadable(
                EvidenceReason.SHAPE, "the payload is not of the type that was signed", "$.payload"
            )
        signed = replace(report, signed=True, signers=opened.signers, strangers=opened.strangers)
        return finished(signed, data)
    except Unreadable as error:
        return EvidenceRefused(error.reason, str(error), error.where)


def _report(value: Any, marked: bool, wanted: str) -> Report:
    for one in _FORMATS:
        if adapter := one.recognises(value):
            if wanted not in ("", adapter):
                raise Unreadable(EvidenceReason.KIND, f"it is `{adapter}` and not `{wanted}`")
            if marked and adapter not in _MARKED:
                raise _mark()
            report = one.read(value)
            if not (
                any(report.checks.values()) or report.claims or report.accounts or report.people
            ):
                raise Unreadable(EvidenceReason.EMPTY, "it says nothing: no result, no account")
            return replace(report, notes=(*report.notes, *_WITH_MARK)) if marked else report
    raise Unreadable(
        EvidenceReason.UNRECOGNISED, "no adapter knows this format; see docs/evidence.md"
    )


_WITH_MARK = ("begins with a byte order mark, as this tool's files do",)


def _mark() -> Unreadable:
    return Unreadable(
        EvidenceReason.BYTE_ORDER_MARK,
        "the file begins with a byte order mark, which this format has not",
        "byte 0",
    )
