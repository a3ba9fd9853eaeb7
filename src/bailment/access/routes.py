"""Which routes there are, and what each does (`formats/access.md`, section 7).

The gateway answers no other, so an access that the log has by another was never asked for.
"""

from __future__ import annotations

#: Action, method and path, as a record states them. A listing names one model in the segments
#: below its path, or none.
ROUTES = (
    ("generate", "POST", "/v1/chat/completions"),
    ("generate", "POST", "/v1/responses"),
    ("generate", "POST", "/v1/messages"),
    ("count-tokens", "POST", "/v1/messages/count_tokens"),
    ("list-models", "GET", "/v1/models"),
)


def action_of(method: str, path: str) -> str:
    """What a request by this method to this path does; empty if there is no such route."""
    for action, its, route in ROUTES:
        below = its == "GET" and path.startswith(route + "/") and len(path) > len(route) + 1
        if method == its and (path == route or below):
            return action
    return ""
