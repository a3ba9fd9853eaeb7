"""Which simulated worlds are for what. They were written down before anything was measured.

Nothing is chosen, tuned or looked at on the worlds of the evaluation but its own table.
"""

from __future__ import annotations

#: What models learn from, what their thresholds are set on, and what the development looked at.
TRAINING = (1101, 1102, 1103, 1104, 1105)
CALIBRATION = (1201, 1202, 1203, 1204, 1205)
DEVELOPMENT = (1, 1301, 1302)
EVALUATION = (9001, 9002, 9003, 9004, 9005)

#: Days of a world: those before the first are learnt from only; budgets are set on those between
#: the two, and what is reported is of those from the second on.
LEARNT, LATER, DAYS = 14, 21, 35
