"""A spec from its bytes: everything that is wrong with it, or the document."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from bailment import canonical
from bailment.errors import FormatError
from bailment.spec import meaning, shape
from bailment.spec.document import Document
from bailment.spec.reading import MAX_BYTES, Problem, read


class Checked(msgspec.Struct, frozen=True):
    """`document` is None exactly where a problem is more than a warning."""

    document: Document | None
    problems: tuple[Problem, ...]


def check(data: bytes, adapters: Collection[str] | None = None) -> Checked:
    """All that is wrong with a spec, in the order of the text. Never raises.

    Where the names of the adapters that exist are given, those that do not are noted too.
    """
    reading = read(data)
    document = shape.document_of(reading)
    if document is not None:
        meaning.find(document, reading, adapters)
        if len(canonical.encode(document)) > MAX_BYTES:
            what = f"longer than {MAX_BYTES >> 10} KiB as JSON, which is how the log keeps it"
            reading.complain((), what, "say it in fewer words")
    problems = tuple(sorted(reading.problems))
    return Checked(document if all(one.warning for one in problems) else None, problems)


def load(data: bytes) -> Document:
    """The document; FormatError with the first problem where there is one."""
    checked = check(data)
    if checked.document is None:
        first = next(problem for problem in checked.problems if not problem.warning)
        raise FormatError(
            f"the spec is wrong at line {first.line} column {first.column}: {first.what}",
            hint=first.remedy,
        )
    return checked.document
