"""All detectors: those that run in the gateway's process, and those in the worker."""

from __future__ import annotations

from typing import Any

from bailment.detect.detector import Detector
from bailment.detect.rules import new_network_and_client

#: Cheap, with little memory, and in order at once: at most 1 ms a request for all of them.
INLINE: tuple[Detector[Any], ...] = (new_network_and_client,)
#: Seconds later.
STREAM: tuple[Detector[Any], ...] = ()
