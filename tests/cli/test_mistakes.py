"""Every foreseeable mistake: one error, what to do about it, the exit code for it, no traceback.

`Shell` fails on any traceback.
"""

from __future__ import annotations

import shlex
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from .lab import Done, Lab, private

pytestmark = pytest.mark.journey

FAILED, USAGE = 1, 2
FILES = {
    "empty.jwk": "{}",
    "list.jwk": "[]",
    "deep.jwk": "[" * 100_000,
    "private.jwk": '{"kty": "EC", "d": "secret"}',
    "bad.vkey": "lab.example/log+00000000+AAAA",
    "notes.txt": "dear diary\n",
}
#: Commands that would succeed but for what is added to them.
LONGER = {
    "{init}": "init new --origin o --contact c",
    "{add}": "recipient add beta --contact c --model smollm2 --purpose p --key {beta}/admin.jwk",
    "{person}": "delegate person X --admin {acme}",
    "{enrol}": "enrol --profile new",
    "{audit}": "log audit .",
}
CASES = """
team | hold list -d nowhere | 1 | `nowhere` is not an issuer's folder | -d or BAILMENT_DIR
team | access list -d / | 1 | `/` is not an issuer's folder | bailment init DIR
team | holds list | 2 | No such command 'holds' | --help
team | hold add everything | 2 | say why | --help
team | hold add everything --reason '' | 2 | say why | --help
team | hold add maria@acme.example --reason r | 1 | to hold | a subject is written kind:id
team | hold add x:y --reason r | 1 | there is no `x:y` to hold | a subject is written kind:id
team | hold add person:Twin --reason r | 1 | 2 people are `Twin` | by email or id
team | hold add person:x --reason r | 1 | nobody is `x` | bailment person list
team | hold add network:10.9.0.0/16 --reason r | 1 | no delegation declares the network `10.9 |
team | hold add network:192.0.2.1/24 --reason r | 1 | `192.0.2.1/24` is not a network | write one
team | hold add recipient:x --reason r | 1 | there is no recipient `x` | bailment recipient list
team | hold add everything --reason r --until 2020-01-01 | 2 | `2020-01-01` is past | --help
team | hold lift 00 --reason r | 1 | there is no such hold | bailment hold list
team | link end 00 --reason r | 1 | there is no such link | bailment link list
team | person erase Twin --reason r --yes | 1 | 2 people are `Twin` | by email or id
team | person erase maria@acme.example --reason r | 1 | standard input is no terminal | --yes
team | access list --since soon | 2 | `soon` is no time | 2h, 90d or 2026-04-07
team | access list --since 2026-02-30 | 2 | `2026-02-30` is no time | 2h
team | access list --limit 0 | 2 | '--limit' | --help
team | access list --recipient x | 1 | there is no recipient `x` | bailment recipient list
team | access list --person x | 1 | nobody is `x` | bailment person list
team | {add} --until soon | 2 | `soon` is no time | 2h
team | {add} --model x | 1 | there is no model `x` | add it to bailment.toml
team | {add} --purpose '' | 1 | `purposes[1]` |
team | {add} --network 10.0.0.0/33 | 1 | `10.0.0.0/33` is not a network | 192.0.2.0/24
team | {add} --tokens-per-day 0 | 2 | '--tokens-per-day' | --help
team | {add} --key none | 1 | cannot read a JWK from `none` | bailment recipient key FOLDER
team | {add} --key / | 1 | is a directory | bailment recipient key FOLDER
team | {add} --key {acme}/admin.pem | 1 | not JSON | bailment recipient key FOLDER
team | {add} --key {files}/empty.jwk | 1 | the `kty` is neither | bailment recipient key FOLDER
team | {add} --key {files}/list.jwk | 1 | not an object | bailment recipient key FOLDER
team | {add} --key {files}/deep.jwk | 1 | nested too deeply | bailment recipient key FOLDER
team | {add} --key {files}/private.jwk | 1 | private members | bailment recipient key FOLDER
team | recipient add acme {add} | 2 | unexpected extra argument | --help
team | {add} --key {acme}/admin.jwk | 1 | the key is that of the recipient `acme` | bailment recip
team | serve | 1 | another process (pid | talk to it
team | init {files} --origin o --contact c | 1 | is not empty | choose a new folder
team | init /proc/x --origin o --contact c | 1 | cannot use `/proc/x` |
team | {init} --origin 'a b' | 1 | `a b` cannot name a log | like lab.example/log
team | {init} --url ftp://x | 1 | must be http(s)://host[:port], not `ftp://x` |
team | {init} --url http://x:99999999 | 1 | http://x:99999999 |
team | {init} --port 99999 | 1 | `$.listen.port` |
team | log receipt 9999 | 1 | record 9999 is not in | about a second
team | log export {files} | 1 | is not empty | name a new folder
admin | recipient key {acme} | 1 | exists already |
admin | {person} --admin none | 1 | `none` holds no admin's key | bailment recipient key
admin | {person} --gateway http://127.0.0.1:1 | 1 | cannot reach | that the gateway runs
admin | {person} --gateway http://lab.example | 1 | in the clear | use its https URL
admin | {person} --gateway x | 1 | `x` is not a gateway's URL |
admin | {person} --until 999d | 1 | lasts longer than its parent | smollm2 for red-team until 20
admin | {person} --model other | 1 | a model is outside | smollm2 for red-team
admin | {person} --purpose x | 1 | a purpose is outside | smollm2 for red-team
admin | {person} --network x | 1 | `x` is not a network | 192.0.2.0/24
admin | delegate person '' --admin {acme} | 2 | say whose | --help
admin | delegate person {long} --admin {acme} | 2 | at most 200 characters | --help
admin | delegate person Maria\u202e --admin {acme} | 2 | it holds U+202E | --help
admin | delegate device 12 --admin {acme} | 1 | `12` is not a code | like `ABCD-EFGH`
admin | delegate device ABCD-EFGH --admin {acme} | 1 | no device of yours waits with this code |
engineer | enrol | 1 | enrolled already, as profile `default` | bailment agent
engineer | enrol {used} | 1 | holds a profile already | --profile NAME
engineer | {enrol} | 1 | holds no profile | `bailment enrol` makes one
engineer | {enrol} x | 1 | the invitation is not a URL | or reads it with `-`
engineer | {enrol} - | 1 | standard input holds no invitation | pipe its URL in
engineer | {enrol} {used} | 1 | unknown, used or expired | a new invitation
engineer | {enrol} {url}/enrol#x | 1 | unknown, used or expired | a new invitation
engineer | {enrol} http://127.0.0.1:1/enrol#x | 1 | cannot reach | that the gateway runs
engineer | enrol {used} --profile ../x | 1 | `../x` cannot name a profile |
engineer | agent --profile x | 1 | holds no profile | `bailment enrol` makes one
engineer | agent --purpose x | 1 | `x` is not a purpose | one of red-team
engineer | agent --listen 0.0.0.0:1 | 1 | is not an address to listen on | 127.0.0.1:PORT
team | log export v --names | 1 | names are for nobody but their organisation | --recipient
auditor | {audit} | 2 | Missing option '--key' | --help
auditor | {audit} --key none | 1 | cannot read `none` |
auditor | {audit} --key {files}/bad.vkey | 1 | is not a log's key | bailment log vkey
auditor | {audit} --key {vkey} | 20 | cannot read `checkpoint` | bailment log export
auditor | log verify none --key {vkey} | 1 | cannot read `none` |
auditor | log verify {files}/notes.txt --key {vkey} | 1 | notes.txt` is not a receipt |
"""


@dataclass(frozen=True)
class Case:
    """A line of the table: who does what, the exit code, what is wrong, what to do about it."""

    who: str
    words: str
    status: int
    wrong: str
    hint: str


def cases() -> list[Case]:
    rows = (
        [part.strip() for part in f"{line} ".split(" | ")] for line in CASES.split("\n") if line
    )
    return [Case(who, words, int(status), *said) for who, words, status, *said in rows]


@pytest.fixture(scope="module")
def names(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the commands above leave open; and two people of one name."""
    files = tmp_path_factory.mktemp("files")
    for name, text in FILES.items():
        (files / name).write_text(text)
    used = lab.invite("Twin", "one@acme.example")
    lab.invite("Twin", "two@acme.example")
    lab.enrol(used, "twin")
    lab.admin.ok("recipient", "key", lab.root / "beta")
    return {
        "acme": str(lab.acme),
        "beta": str(lab.root / "beta"),
        "files": str(files),
        "url": lab.url,
        "used": used,
        "long": "X" * 201,
        "vkey": lab.team.ok("log", "vkey").strip(),
    }


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.words)
def test_a_mistake_is_said_once_with_what_to_do(
    case: Case, lab: Lab, names: dict[str, str]
) -> None:
    words = case.words
    for short, long in [
        *LONGER.items(),
        *((f"{{{name}}}", value) for name, value in names.items()),
    ]:
        words = words.replace(short, long)
    says(getattr(lab, case.who)(*shlex.split(words)), case.status, case.wrong, case.hint)


def says(done: Done, status: int, wrong: str, hint: str = "") -> None:
    """A command said what is wrong, and nothing on standard output."""
    said = " ".join(done.err.replace("│", " ").split())
    assert (done.status, done.out) == (status, ""), done
    assert wrong in said
    assert hint in said
    assert said.count("─ Error ─" if status == USAGE else "error: ") == 1, said


def test_a_failed_init_leaves_nothing_in_the_way_of_the_next(bare: Lab, tmp_path: Path) -> None:
    new = ("init", tmp_path / "new", "--contact", "c", "--origin")
    assert bare.team(*new, "a b").status == FAILED
    assert not (tmp_path / "new").exists()
    bare.team.ok(*new, "lab.example/log")


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("hold", "add", "everything", "--reason", "r"),
        ("hold", "lift", "00", "--reason", "r"),
        ("link", "end", "00", "--reason", "r"),
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_what_needs_a_running_issuer_says_that_none_runs(bare: Lab, words: tuple[str, ...]) -> None:
    hint = f"bailment serve -d {bare.folder}"
    says(bare.team(*words), FAILED, f"no issuer is running in `{bare.folder}`", hint)


def test_a_socket_that_nobody_listens_on_is_no_running_issuer(copied: Lab) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(copied.folder / "control.sock"))
    says(copied.team("status"), FAILED, "no issuer is running", "bailment serve")


def test_listings_need_no_running_issuer(bare: Lab) -> None:
    for words in (("recipient",), ("person",), ("link",), ("hold",), ("access",), ("finding",)):
        assert bare.team.json(*words, "list") == []


def settings(lab: Lab, *change: str) -> None:
    path = lab.folder / "bailment.toml"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))


@pytest.mark.parametrize(
    ("change", "wrong", "hint"),
    [
        (("contact =", "contakt ="), "the key `contakt` is unknown in `issuer`: misspelt?", ""),
        (("[listen]", "[lissen]"), "the key `lissen` is unknown in `the top level`", ""),
        (("context = 8192", "contxt = 1"), "the key `contxt` is unknown in `models[...]`", ""),
        (("context = 8192", "context = 12"), "models.smollm2.output must lie between 1 and", ""),
        (("[listen]", "[listen"), "bailment.toml`:", ""),
        (('host = "127.0.0.1"', 'host = "0.0.0.0"'), "not loopback and there is no TLS", "listen"),
        (("lab.example/log", "lab.example/other"), "`lab.example/log`'s", "fixed at init"),
        (('url = "http://', 'url = "https://'), "issuer.url is not the one in the log", "put back"),
        (('"model.key"', '"none.key"'), "none.key`: No such file", ""),
        (('url = "unix:///', 'url = "unix://./'), "cannot be used", "write `http://host:port`"),
    ],
    ids=lambda value: str(value[-1]) if isinstance(value, tuple) else "",
)
def test_an_issuer_does_not_start_with_wrong_settings(
    copied: Lab, change: tuple[str, str], wrong: str, hint: str
) -> None:
    settings(copied, *change)
    says(copied.team("serve"), FAILED, wrong, hint)


@pytest.mark.parametrize(
    "name", ["secrets/log.key", "secrets/issuer.pem", "secrets/bodies.key", "model.key"]
)
def test_an_issuer_does_not_start_with_a_secret_that_others_can_read(
    copied: Lab, name: str
) -> None:
    path = copied.folder / name
    path.chmod(0o644)
    says(copied.team("serve"), FAILED, "that others may read (mode 0644)", f"chmod 600 {path}")


def test_an_issuer_does_not_start_without_its_keys_or_with_damaged_ones(copied: Lab) -> None:
    private(copied.folder / "secrets" / "bodies.key", "zz")
    says(copied.team("serve"), FAILED, "a key in", "")
    shutil.rmtree(copied.folder / "secrets")
    says(copied.team("serve"), FAILED, "log.key`: No such file", "")


def test_an_issuer_does_not_start_with_a_damaged_database(copied: Lab) -> None:
    (copied.folder / "staging.db").write_bytes(b"not a database" * 1000)
    says(copied.team("serve"), FAILED, "staging.db`: file is not a database", "recovery.md")


def test_an_issuer_does_not_start_where_something_else_listens(copied: Lab) -> None:
    with socket.create_server(("127.0.0.1", copied.port)):
        wrong = f"cannot listen on 127.0.0.1:{copied.port}"
        says(copied.team("serve"), FAILED, wrong, "listen.port")


def test_an_issuer_does_not_start_where_its_sockets_path_would_be_too_long(copied: Lab) -> None:
    deep = copied.root / ("d" * 100)
    shutil.move(copied.folder, deep)
    done = copied.team("serve", "-d", deep)
    says(done, FAILED, "control.sock`: AF_UNIX path too long", "a folder higher up")
