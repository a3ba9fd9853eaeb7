"""All detectors: those that run in the gateway's process, and those in the worker.

Findings of the kinds `tripwire` and `honey-credential` are the gateway's own, since the log does
not have what was shown (`gateway/tripwires.py`).
"""

from __future__ import annotations

from typing import Any

from bailment.detect import actor_cluster, many_credentials, relay
from bailment.detect.detector import Detector
from bailment.detect.rules import (
    decoy_model,
    many_clusters,
    new_network_and_client,
    quota,
    two_countries,
    undeclared_network,
    wrong_key,
)

#: Cheap, with little memory, and in order at once: at most 1 ms a request for all of them.
INLINE: tuple[Detector[Any], ...] = (
    undeclared_network,
    new_network_and_client,
    wrong_key,
    decoy_model,
    quota,
    two_countries,
    many_clusters,
)
#: Seconds later.
STREAM: tuple[Detector[Any], ...] = (actor_cluster, relay, many_credentials)
