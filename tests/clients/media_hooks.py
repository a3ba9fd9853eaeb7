"""For Schemathesis: how a body is written whose media type it does not know."""

from __future__ import annotations

import schemathesis

schemathesis.serializer.alias("application/secevent+jwt", "text/plain")
