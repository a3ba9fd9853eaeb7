"""A spec from its bytes: everything that is wrong with it, or the document."""

from __future__ import annotations

import msgspec

from bailment import canonical
from bailment.errors import FormatError
from bailment.spec import meaning, shape
from bailment.spec.delivery import Vocabularies
from bailment.spec.document import Document
from bailment.spec.reading import MAX_BYTES, Problem, read


class Checked(msgspec.Struct, frozen=True):
    """`document` is None exactly where a problem is more than a warning. `unsatisfiable` are the
    ids of the requirements that nothing can satisfy yet."""

    document: Document | None
    problems: tuple[Problem, ...]
    unsatisfiable: tuple[str, ...] = ()


def check(data: bytes, known: Vocabularies | None = None) -> Checked:
    """All that is wrong with a spec, in the order of the text. Never raises.

    Where it is `known` what each adapter can say, what none can is noted too. A spec that is in a
    log is read without: adapters come and go, and what was applied stays what it was.
    """
    unsatisfiable: tuple[str, ...] = ()
    reading = read(data)
    document = shape.document_of(reading)
    if document is not None:
        unsatisfiable = meaning.find(document, reading, known)
        if len(canonical.encode(document)) > MAX_BYTES:
            what = f"longer than {MAX_BYTES >> 10} KiB as JSON, which is how the log keeps it"
            reading.complain((), what, "say it in fewer words")
    problems = tuple(sorted(reading.problems))
    if not all(one.warning for one in problems):
        return Checked(None, problems)
    return Checked(document, problems, unsatisfiable)


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
