"""What the worker says of itself to the process that started it."""

from __future__ import annotations

import msgspec


class Report(msgspec.Struct, frozen=True):
    """How the worker stands, once a second.

    position  entries that were read and stepped over; 0 while it learns from what is before
    waiting   records that the issuer has not acknowledged yet
    told      records that it has, since the worker began; `refused`, those that it did not want
    rate      entries a second, when it last had some to read
    """

    position: int
    waiting: int = 0
    told: int = 0
    refused: int = 0
    rate: int = 0
