"""A gateway without anything that detects: `python unwatched.py serve -d DIR`.

Only to measure what detection costs: no inline detector, nothing in a record about where a request
comes from. The product has no such switch; for its worker there is a setting.
"""

from __future__ import annotations

import runpy

from bailment.gateway.watch import Watch
from bailment.ledger.context import Context
from bailment.store.tables import Origins

Watch._notice = lambda self, news: None  # type: ignore[method-assign]
Origins.context = lambda self, address, headers: Context()  # type: ignore[method-assign]
Origins.opened = lambda self, context, opening: context  # type: ignore[method-assign]

if __name__ == "__main__":
    runpy.run_module("bailment.cli.process", run_name="__main__", alter_sys=True)
