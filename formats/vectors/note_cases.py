"""The cases of note.json and checkpoint.json, and the keys of all."""

from __future__ import annotations

import base64

from reference import Key, b64, checkpoint, counted, mth, note, signature_line
from tree_cases import MALFORMED, OK, UNVERIFIED, Case

# The example of golang.org/x/mod/sumdb/note.
PETER = Key(
    "PeterNeumann",
    seed=bytes.fromhex("810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173"),
)
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
ENOCH_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33"
    "WWd1RvMc+QQ=\n"
)

LOG = Key("log.example/bailment")
SIBLING = Key("log.example/bailment", seed=b"\x07" * 32)
W1, W2, W3 = (Key(f"witness.example/w{i}", 4) for i in (1, 2, 3))
TIME = 1_700_000_000


def broken(line: str, byte: int = -1) -> str:
    """The signature line with one bit of a byte of its signature changed."""
    dash, name, encoded = line.rstrip("\n").split(" ")
    raw = bytearray(base64.b64decode(encoded))
    raw[byte] ^= 1
    return f"{dash} {name} {b64(bytes(raw))}\n"


def key_cases() -> Case:
    vkey, skey = PETER.vkey, PETER.skey
    wrong_kind = Key(PETER.name, 4, PETER.seed).vkey
    bad_vkeys = [
        ("nothing", ""),
        ("no name", vkey.removeprefix("PeterNeumann")),
        ("a space in the name", Key("Peter Neumann").vkey),
        ("a no-break space in the name", Key("Peter\u00a0Neumann").vkey),
        ("an ideographic space in the name", Key("Peter\u3000Neumann").vkey),
        ("a plus in the name", Key("Peter+Neumann").vkey),
        ("a control character in the name", Key("Peter\x01Neumann").vkey),
        ("another name", vkey.replace("Neumann", "Newman")),
        ("another key id", vkey.replace("c74f20a3", "c74f20a4")),
        ("an upper-case key id", vkey.replace("c74f20a3", "C74F20A3")),
        ("a key id too short", vkey.replace("c74f20a3", "c74f20a")),
        ("no key id", "PeterNeumann+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"),
        ("another key", Key(PETER.name).vkey.replace(Key(PETER.name).id.hex(), "c74f20a3")),
        ("a key of 31 bytes", vkey[:-4] + "10Q="),
        ("a key too long, key id adjusted",
         "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=="),
        ("an unknown type, key id adjusted",
         "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"),
        ("a cosignature key", wrong_kind),
        ("base64 without padding", LOG.vkey.rstrip("=") if LOG.vkey.endswith("=") else vkey[:-1]),
        ("the URL alphabet", vkey.replace("/", "_")),
        ("a newline at the end", vkey + "\n"),
    ]  # fmt: skip
    bad_skeys = [
        ("nothing", ""),
        ("a vkey", vkey),
        ("a lower-case prefix", skey.replace("PRIVATE", "private")),
        ("another name", skey.replace("Neumann", "Newman")),
        ("another key id", skey.replace("c74f20a3", "c74f20a4")),
        ("another seed", skey[:-1] + "0"),
        ("a seed too short", skey[:-4]),
        ("another type", Key(PETER.name, 4, PETER.seed).skey),
    ]
    keys = [PETER, LOG, Key("witness.example/ü")]
    return {
        "keys": [{"name": k.name, "private": k.skey, "vkey": k.vkey} for k in keys],
        "bad_vkeys": [{"name": name, "vkey": bad} for name, bad in bad_vkeys],
        "bad_private_keys": [{"name": name, "private": bad} for name, bad in bad_skeys],
    }


def opened(
    name: str, data: str | bytes, known: list[str], result: str, text: str = "", *by: str
) -> Case:
    where = {"note": data} if isinstance(data, str) else {"note_base64": b64(data)}
    case: Case = {"name": name, **where, "known": known, "result": result}
    return case | ({"text": text, "verified": list(by)} if result == OK else {})


def good_notes() -> list[Case]:
    peter, peter_line = PETER.vkey, PETER.line(TEXT)
    both = note(TEXT, PETER) + ENOCH_LINE
    other = signature_line(PETER.name, b"\x00" * 4, b"?" * 64)
    many = [Key(f"signer.example/{i}") for i in range(15)]
    odd = "ümläut\x7f\u0085\u2028\n\n— no signature AAAA\n\nlast\n"
    spec_text = "This is an example message.\n"
    spec_line = (
        "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXm"
        "RKuwHjG1Yu72IneyaQM=\n"
    )
    spec_vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    sum_text = "go.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n"
    sum_line = (
        "— sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM7"
        "5QTtPydhKCExixSfwQ=\n"
    )
    sum_vkey = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    p, e = "PeterNeumann", "EnochRoot"
    return [
        opened("the example of C2SP signed-note", f"{spec_text}\n{spec_line}", [spec_vkey], OK,
               spec_text, "example.com/foo"),
        opened("a head of Go's checksum database", f"{sum_text}\n{sum_line}", [sum_vkey], OK,
               sum_text, "sum.golang.org"),
        opened("one known key", both, [peter], OK, TEXT, p),
        opened("another known key", both, [ENOCH_VKEY], OK, TEXT, e),
        opened("two known keys", both, [ENOCH_VKEY, peter], OK, TEXT, p, e),
        opened("a known key's name with another key id is unknown", f"{TEXT}\n{other}{peter_line}",
               [peter], OK, TEXT, p),
        opened("a known key's id with another name is unknown",
               f"{TEXT}\n{peter_line.replace(p, 'P')}{peter_line}", [peter], OK, TEXT, p),
        opened("an unknown key's broken signature", note(TEXT, PETER) + broken(ENOCH_LINE),
               [peter], OK, TEXT, p),
        opened("a signature of an unknown type of one byte",
               note(TEXT, PETER) + signature_line("x", b"\xff" * 4, b"?"), [peter], OK, TEXT, p),
        opened("sixteen signatures", note(TEXT, PETER, *many), [peter], OK, TEXT, p),
        opened("an empty line of text", note("\n", PETER), [peter], OK, "\n", p),
        opened("blank lines and a signature line in the text", note(odd, PETER), [peter], OK, odd,
               p),
    ]  # fmt: skip


def bad_notes() -> list[Case]:
    line, good = PETER.line(TEXT), note(TEXT, PETER)
    encoded = line.split(" ")[2].rstrip("\n")
    refused = [
        ("no known key", good, [ENOCH_VKEY]),
        ("no key known at all", good, []),
        ("another text", good.replace("answer", "Answer"), [PETER.vkey]),
        ("a broken signature", f"{TEXT}\n{broken(line)}", [PETER.vkey]),
        ("a short signature", f"{TEXT}\n{signature_line(PETER.name, PETER.id, b'?')}",
         [PETER.vkey]),
        ("a good and a broken signature of one key", good + broken(line), [PETER.vkey]),
        ("a good one and another known key's broken one", good + broken(ENOCH_LINE),
         [PETER.vkey, ENOCH_VKEY]),
        ("the key under another name", good.replace("PeterNeumann", "Peter"), [PETER.vkey]),
    ]  # fmt: skip
    malformed: list[tuple[str, str | bytes]] = [
        ("nothing", ""),
        ("text alone", TEXT),
        ("a text without its last newline", f"{TEXT[:-1]}\n{line}"),
        ("no text", f"\n{line}"),
        ("no signature", f"{TEXT}\n"),
        ("no newline at the end", good[:-1]),
        ("a blank line at the end", good + "\n"),
        ("a line that is no signature", good + "Unexpected line.\n"),
        ("a hyphen in place of the dash", good.replace("— ", "- ")),
        ("two spaces after the dash", good.replace("— ", "—  ")),
        ("no space after the dash", good.replace("— ", "—")),
        ("two spaces before the signature", good.replace("n x08", "n  x08")),
        ("a space at the end", good[:-1] + " \n"),
        ("no signature after the name", f"{TEXT}\n— PeterNeumann\n"),
        ("a plus in a name", good + line.replace("PeterN", "Peter+N")),
        ("a no-break space in a name", good + line.replace("PeterN", "Peter\u00a0N")),
        ("a key id alone", good + signature_line("x", b"abcd", b"")),
        ("base64 without padding", f"{TEXT}\n— PeterNeumann {encoded.rstrip('=')}\n"),
        ("base64 with unused bits set", f"{TEXT}\n— PeterNeumann {encoded[:-2]}N=\n"),
        ("base64 of the URL alphabet", f"{TEXT}\n— PeterNeumann {encoded.replace('/', '_')}\n"),
        ("more after the padding", f"{TEXT}\n— PeterNeumann {encoded}AAAA\n"),
        ("a tab in the text", good.replace(" ", "\t", 1)),
        ("a carriage return in the text", good.replace("\n", "\r\n")),
        ("a NUL at the end", good + "\x00"),
        ("not UTF-8", b"\xff" + good.encode()),
        ("an overlong encoding", b"\xc0\x8a" + good.encode()),
        ("a surrogate", b"\xed\xa0\x80" + good.encode()),
    ]
    return [
        *(opened(name, data, known, UNVERIFIED) for name, data, known in refused),
        *(opened(name, data, [PETER.vkey], MALFORMED) for name, data in malformed),
    ]


def note_vectors() -> Case:
    signed = [(PETER, TEXT), (PETER, "\n"), (LOG, "ein Text\n\nmit Leerzeile\n")]
    return {
        **key_cases(),
        "signed": [{"private": k.skey, "text": t, "note": note(t, k)} for k, t in signed],
        "opened": [*good_notes(), *bad_notes()],
    }


def checkpoint_vectors() -> Case:
    root = mth(counted(5))
    good = checkpoint(LOG.name, 5, root)
    spec = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    texts: list[tuple[str, str]] = [
        ("the example of C2SP tlog-checkpoint", spec),
        ("an empty tree", checkpoint(LOG.name, 0, mth([]))),
        ("the largest size", checkpoint(LOG.name, 2**63 - 1, root)),
        ("extension lines", checkpoint(LOG.name, 5, root, "one", " ", "drei ü")),
        ("an origin with spaces", checkpoint("go.sum database tree", 5, root)),
    ]
    bad_texts = [
        ("nothing", ""),
        ("two lines", good[: good.index("\n", good.index("\n") + 1) + 1]),
        ("no newline at the end", good[:-1]),
        ("an empty line at the end", good + "\n"),
        ("an empty line in the extensions", good + "x\n\ny\n"),
        ("no origin", checkpoint("", 5, root)),
        *((f"the size `{size}`", good.replace("\n5\n", f"\n{size}\n"))
          for size in ("", "05", "-5", "+5", " 5", "5 ", "5.0", "5e1", "0x5", "1_0", "\u0665",
                       "five", "00", "-0", "9223372036854775808", "1" * 20)),
        ("a root of 31 bytes", checkpoint(LOG.name, 5, root[:31])),
        ("a root of 33 bytes", checkpoint(LOG.name, 5, root + b"\x00")),
        ("no root", checkpoint(LOG.name, 5, b"")),
        ("a root in hex", f"{LOG.name}\n5\n{root.hex()}\n"),
        ("a root without padding", good.replace("=", "")),
        ("a root of the URL alphabet", checkpoint(LOG.name, 5, b"\xff" * 32).replace("/", "_")),
        ("a root with unused bits set", good[:-3] + chr(ord(good[-3]) + 1) + "=\n"),
        ("a carriage return", good.replace("\n", "\r\n")),
    ]  # fmt: skip
    other = checkpoint("log.example/other", 5, root)
    notes: list[tuple[str, str, str]] = [
        ("signed", note(good, LOG), OK),
        ("signed, with an extension", note(good + "x\n", LOG), OK),
        ("signed and cosigned", note(good, LOG) + W1.line(good, TIME), OK),
        ("cosigned by an unknown witness, badly", note(good, LOG) + broken(W1.line(good, 1)), OK),
        ("the log's name with another key besides", note(good, SIBLING, LOG), OK),
        ("another origin under the log's signature", note(other, LOG), UNVERIFIED),
        ("another key of the log's name", note(good, SIBLING), UNVERIFIED),
        ("cosigned only", good + "\n" + W1.line(good, TIME), UNVERIFIED),
        ("another size", note(good, LOG).replace("\n5\n", "\n6\n"), UNVERIFIED),
        ("a broken signature", f"{good}\n{broken(LOG.line(good))}", UNVERIFIED),
        ("no checkpoint, though signed", note(TEXT, LOG), MALFORMED),
        ("unsigned", good, MALFORMED),
    ]
    return {
        "texts": [{"name": n, "text": t, **fields(t)} for n, t in texts],
        "bad_texts": [{"name": n, "text": t} for n, t in bad_texts],
        "signed": [{"private": LOG.skey, **fields(good), "note": note(good, LOG)}],
        "log": LOG.vkey,
        "opened": [
            {"name": n, "note": t, "result": r} | (fields(t.split("\n\n")[0]) if r == OK else {})
            for n, t, r in notes
        ],
    }


def fields(text: str) -> Case:
    origin, size, root, *extensions = text.rstrip("\n").split("\n")
    hex_ = base64.b64decode(root).hex()
    return {"origin": origin, "size": int(size), "root": hex_, "extensions": extensions}
