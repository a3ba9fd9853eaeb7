"""The table of the control plane's public routes, from which the OpenAPI document is made."""

from __future__ import annotations

from bailment.control import schemas as s
from bailment.control.openapi import Operation
from bailment.control.schemas import FORM, HTML, JSON, OCTETS, TEXT, Schema

_OAUTH = (JSON, s.OAUTH_ERROR)
_PAGE: dict[int, tuple[str, Schema]] = {200: (HTML, s.TEXT_VALUE)}
_NO_PAGE = (HTML, s.TEXT_VALUE)


def _get(path: str, name: str, summary: str, schema: Schema, **more: object) -> Operation:
    return Operation("GET", path, name, summary, {200: (JSON, schema)}, **more)  # type: ignore[arg-type]


def _post(
    path: str,
    name: str,
    summary: str,
    body: tuple[str, Schema],
    answers: dict[int, Schema],
    **more: object,
) -> Operation:
    told = {status: (JSON, schema) for status, schema in answers.items()}
    return Operation("POST", path, name, summary, told, body, **more)  # type: ignore[arg-type]


OPERATIONS = (
    _get(
        "/.well-known/oauth-authorization-server",
        "metadata",
        "Authorization server metadata (RFC 8414)",
        s.METADATA,
        failure=None,
    ),
    _get("/oauth/keys", "keys", "The key that tokens are signed with", s.KEYS, failure=None),
    _post(
        "/oauth/token",
        "token",
        "A token bound to the key or the certificate of a device, or to the key of a job",
        (FORM, s.TOKEN_FORM),
        {200: s.TOKEN},
        failure=_OAUTH,
        proof="required",
    ),
    _post(
        "/oauth/introspect",
        "introspect",
        "Whether a token is good (RFC 7662)",
        (FORM, s.STATE_FORM),
        {200: s.STATE},
        failure=_OAUTH,
        proof="optional",
        bearer=True,
    ),
    _post(
        "/oauth/revoke",
        "revoke",
        "End a token (RFC 7009)",
        (FORM, s.STATE_FORM),
        {200: s.ANYTHING},
        failure=_OAUTH,
        proof="optional",
    ),
    _post(
        "/enrol/attestations",
        "challenge",
        "A challenge for the TPM that a device's key is in",
        (JSON, s.SHOWN_TPM),
        {201: s.CHALLENGE},
        proof="required",
    ),
    _post(
        "/enrol/requests",
        "enrol",
        "A device shows its invitation and proves its key",
        (JSON, s.ENROL),
        {201: s.ENROLLED},
        proof="required",
    ),
    _get(
        "/enrol/requests/{device}",
        "enrolment",
        "Whether a device was confirmed, and what it may use",
        s.ENROLMENT,
        proof="required",
    ),
    _get(
        "/enrol/pending",
        "pending",
        "The device of one's own that shows this code",
        s.PENDING,
        query=(("code", True, s.short(20)),),
        proof="required",
    ),
    _post(
        "/enrol/certificates",
        "certify",
        "A certificate over a device's key (RFC 8705)",
        (JSON, s.closed({"device": s.ID})),
        {201: s.CERTIFICATE},
        proof="required",
    ),
    _post(
        "/enrol/tripwires",
        "set-tripwire",
        "The hash of the capability of a device's agent, by which it is known where it leaks",
        (JSON, s.closed({"device": s.ID, "secret": s.SHA256})),
        {201: s.struct({"secret": s.SHA256})},
        proof="required",
    ),
    _post(
        "/delegations",
        "delegate",
        "A link that the delegating party signed",
        (JSON, s.DELEGATION),
        {201: s.DELEGATED, 202: s.PROPOSED},
    ),
    _get(
        "/delegations/mine",
        "mine",
        "The link from which an organisation's admin may delegate",
        s.MINE,
        proof="required",
    ),
    _post(
        "/providers",
        "register-provider",
        "The identity provider at which an organisation's people sign in",
        (JSON, s.ANYTHING),
        {201: s.struct({"redirect_uri": s.TEXT_VALUE, "jwks_uri": s.TEXT_VALUE}), 202: s.PROPOSED},
        proof="required",
    ),
    _post(
        "/providers/secret",
        "provider-secret",
        "What the organisation's provider gave us to show",
        (TEXT, s.TEXT_VALUE),
        {200: s.ANYTHING},
        proof="required",
    ),
    Operation("GET", "/enrol", "invited", "What to do with an invitation", _PAGE, failure=None),
    _post(
        "/sign-in",
        "begin-sign-in",
        "A device asks where its person signs in",
        (
            JSON,
            s.closed({}, invitation=s.TEXT_VALUE, device=s.TEXT_VALUE, back=s.TEXT_VALUE),
        ),
        {200: s.ANYTHING, 201: s.struct({"id": s.TEXT_VALUE, "url": s.TEXT_VALUE})},
        proof="required",
    ),
    _get("/sign-in/jwks.json", "sign-in-keys", "Our keys as a client", s.KEYS, failure=None),
    Operation(
        "GET",
        "/sign-in/callback/{organisation}",
        "callback",
        "Back from the provider (OpenID Connect Core 1.0)",
        _PAGE,
        failure=_NO_PAGE,
        query=tuple((name, False, s.TEXT_VALUE) for name in ("code", "state", "iss", "error")),
    ),
    Operation("GET", "/sign-in/{id}", "sign-in", "What a sign-in is for", _PAGE, failure=_NO_PAGE),
    Operation("GET", "/sign-in/{id}/go", "leave", "Off to the provider", _PAGE, failure=_NO_PAGE),
    _get(
        "/sign-in/{id}/status",
        "sign-in-status",
        "How a sign-in stands",
        s.struct({"status": s.TEXT_VALUE}),
        proof="required",
    ),
    _post(
        "/sign-in/{id}/complete",
        "complete-sign-in",
        "A device shows what the browser was handed",
        (JSON, s.closed({"completion": s.short(40)})),
        {201: s.struct({"person": s.ID, "auth_time": s.TIME})},
        proof="required",
    ),
    _get(
        "/standing",
        "standing",
        "How a recipient stands, and why",
        s.STANDING,
        proof="required",
    ),
    _post(
        "/evidence/{kind}",
        "evidence",
        "Evidence that the recipient collected itself",
        (OCTETS, s.BYTES),
        {201: s.TAKEN},
        proof="required",
    ),
    _post(
        "/signals/sources",
        "add-source",
        "A system of the organisation's that reports to us (SCIM, Shared Signals)",
        (JSON, s.closed({"kind": {"enum": ["scim", "ssf"]}}, issuer=s.URL, token=s.TEXT_VALUE)),
        {201: s.struct({"source": s.ID, "kind": s.TEXT_VALUE, "url": s.TEXT_VALUE})},
        proof="required",
    ),
    _get(
        "/signals/sources",
        "sources",
        "The organisation's sources, and when each was last heard",
        s.struct({"sources": {"type": "array", "items": s.ANYTHING}}),
        proof="required",
    ),
    _post(
        "/signals/sources/{id}",
        "change-source",
        "Another credential for a source, or its end",
        (JSON, s.closed({"act": {"enum": ["rotate", "end"]}})),
        {200: s.struct({"source": s.ID, "credential": s.TEXT_VALUE})},
        proof="required",
    ),
    Operation(
        "POST",
        "/signals/events/{id}",
        "push-event",
        "A security event (RFC 8935)",
        {202: (TEXT, s.TEXT_VALUE)},
        ("application/secevent+jwt", s.TEXT_VALUE),
        (JSON, s.struct({"err": s.TEXT_VALUE, "description": s.TEXT_VALUE})),
        bearer=True,
    ),
    _post(
        "/webhooks",
        "set-webhook",
        "Where the organisation is told of its holds; an empty URL ends that",
        (JSON, s.closed({"url": s.URL})),
        {201: s.WEBHOOK},
        proof="required",
    ),
    _get(
        "/webhooks",
        "webhook",
        "Where the organisation is told, and how that goes",
        s.WEBHOOK,
        proof="required",
    ),
    _get(
        "/notices",
        "notices",
        "What the organisation was told of incidents",
        s.struct({"notices": {"type": "array", "items": s.ANYTHING}}),
        proof="required",
    ),
    _post(
        "/notices",
        "acknowledge",
        "The organisation has read a notice",
        (JSON, s.closed({"notice": s.ID})),
        {201: s.struct({"notice": s.ID})},
        proof="required",
    ),
    _post(
        "/custody",
        "declare-custody",
        "In which system outside keys and credentials of the organisation's lie",
        (JSON, s.CUSTODY),
        {201: s.struct({"system": s.TEXT_VALUE})},
        proof="required",
    ),
    _post(
        "/misuse",
        "report-misuse",
        "What was done as somebody of the organisation's was not them",
        (JSON, s.MISUSE),
        {201: s.struct({"finding": s.ID, "accesses": s.COUNT})},
        proof="required",
    ),
    Operation(
        "GET",
        "/log/checkpoint",
        "checkpoint",
        "The newest signed checkpoint (C2SP tlog-checkpoint)",
        {200: (TEXT, s.TEXT_VALUE)},
        failure=(TEXT, s.TEXT_VALUE),
    ),
    Operation(
        "GET",
        "/log/{path}",
        "tile",
        "A tile or, for auditors, an entry bundle (C2SP tlog-tiles)",
        {200: (OCTETS, s.BYTES)},
        failure=(TEXT, s.TEXT_VALUE),
        bearer=True,
    ),
)
