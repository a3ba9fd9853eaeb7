"""The root of all facts, of which each type of record is a struct."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The root of all facts; `TYPE` is the record type in the leaf."""

    TYPE: ClassVar[str] = ""
    #: True where the record changes the register, so that decisions made before it are stale.
    REGISTERS: ClassVar[bool] = False
