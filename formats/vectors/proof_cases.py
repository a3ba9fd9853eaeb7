"""The cases of cosignature.json and receipt.json."""

from __future__ import annotations

from note_cases import LOG, SIBLING, TEXT, TIME, W1, W2, W3, broken
from reference import Key, b64, checkpoint, counted, mth, note, path, receipt, signature_line
from tree_cases import MALFORMED, OK, UNVERIFIED, Case, flip, hexes


def cosignature_vectors() -> Case:
    text = checkpoint(LOG.name, 5, mth(counted(5)))
    signed = note(text, LOG)
    extended = checkpoint(LOG.name, 5, mth(counted(5)), "extension")
    newer = checkpoint(LOG.name, 6, mth(counted(6)))
    good, early, late = (W1.line(text, TIME + d) for d in (0, -1, 1))
    plain = Key(W1.name, 1, W1.seed)
    dressed = TIME.to_bytes(8, "big") + plain.private.sign(text.encode())
    bad_lines = [
        ("a cosignature of another checkpoint", W1.line(newer, TIME)),
        ("a broken signature", broken(good)),
        ("a changed time", broken(good, 11)),
        ("a time of 0", W1.line(text, 0)),
        ("a time of 2^63", W1.line(text, 2**63)),
        ("a plain signature in place of a cosignature", signature_line(W1.name, W1.id, dressed)),
        ("a signature without a time", signature_line(W1.name, W1.id, b"?" * 64)),
        ("a byte too many", signature_line(W1.name, W1.id, b"?" * 73)),
        ("an early good and a broken line", early + broken(good)),
    ]
    unknown = W3.line(text, TIME) + broken(W3.line(text, TIME)) + plain.line(text)
    also = sibling(W1).line(text, TIME)
    merges: list[tuple[str, str, str, list[Key], str, str]] = [
        ("one", signed, good, [W1], OK, signed + good),
        ("two", signed, W2.line(text, TIME) + good, [W1, W2], OK,
         signed + W2.line(text, TIME) + good),
        ("beside another", signed + good, W2.line(text, TIME), [W1, W2], OK,
         signed + good + W2.line(text, TIME)),
        ("unknown keys are ignored", signed, unknown + good, [W1], OK, signed + good),
        ("nothing but unknown keys", signed, unknown, [W1], OK, signed),
        ("unknown keys in the note stay, in front", signed + W3.line(text, TIME), good, [W1], OK,
         signed + W3.line(text, TIME) + good),
        ("a newer one replaces", signed + good, late, [W1], OK, signed + late),
        ("an older one does not", signed + good, early, [W1], OK, signed + good),
        ("the newest of several", signed, early + late + good, [W1], OK, signed + late),
        ("a name with two keys has two", signed, good + also, [W1, sibling(W1)], OK,
         signed + good + also),
        ("extension lines are signed", note(extended, LOG), W1.line(extended, TIME), [W1], OK,
         note(extended, LOG) + W1.line(extended, TIME)),
        *((name, signed, bad, [W1], UNVERIFIED, "") for name, bad in bad_lines),
        ("extension lines left out", note(extended, LOG), good, [W1], UNVERIFIED, ""),
        ("a broken line in the note", signed + broken(good), late, [W1], UNVERIFIED, ""),
        ("no lines", signed, "", [W1], MALFORMED, ""),
        ("a line without its newline", signed, good[:-1], [W1], MALFORMED, ""),
        ("a blank line in front", signed, "\n" + good, [W1], MALFORMED, ""),
        ("a line that is no signature", signed, good + "ok\n", [W1], MALFORMED, ""),
        ("a note without a signature", text, good, [W1], MALFORMED, ""),
        ("a text that is no checkpoint", note(TEXT, LOG), W1.line(TEXT, TIME), [W1], UNVERIFIED,
         ""),
    ]  # fmt: skip
    return {
        "signed": [
            {"private": w.skey, "vkey": w.vkey, "time": time, "text": t, "line": w.line(t, time)}
            for w, t, time in [(W1, text, TIME), (W2, extended, 1), (W3, newer, 2**63 - 1)]
        ],
        "merged": [
            {"name": n, "note": note_, "lines": lines, "witnesses": [w.vkey for w in known],
             "result": result} | ({"merged": merged} if result == OK else {})
            for n, note_, lines, known, result, merged in merges
        ],
    }  # fmt: skip


def sibling(key: Key) -> Key:
    return Key(key.name, key.kind, bytes(32))


def receipt_vectors() -> Case:
    d = counted(11)
    text = checkpoint(LOG.name, 11, mth(d))
    signed = note(text, LOG)
    one, two = W1.line(text, TIME), W2.line(text, TIME)
    proof = path(6, d)
    good = receipt(6, proof, signed)
    lone = note(checkpoint(LOG.name, 1, mth(d[:1])), LOG)
    none: list[Key] = []
    pair = [W1, W2]
    cases: list[tuple[str, str, bytes, list[Key], int, str]] = [
        ("no witnesses", good, b"6", none, 0, OK),
        ("a tree of one entry", receipt(0, [], lone), b"0", none, 0, OK),
        ("extra data", receipt(6, proof, signed, b64(b"\x00 extra")), b"6", none, 0, OK),
        ("a quorum of one", receipt(6, proof, signed + one), b"6", pair, 1, OK),
        ("a quorum of two", receipt(6, proof, signed + two + one), b"6", pair, 2, OK),
        ("unknown witnesses besides", receipt(6, proof, signed + two + one), b"6", [W1], 1, OK),
        ("another entry", good, b"7", none, 0, UNVERIFIED),
        ("another index", good.replace("index 6", "index 7"), b"6", none, 0, UNVERIFIED),
        ("an index at the size", good.replace("index 6", "index 11"), b"6", none, 0, UNVERIFIED),
        ("a flipped bit", receipt(6, [flip(proof[0], 1), *proof[1:]], signed), b"6", none, 0,
         UNVERIFIED),
        ("a hash too few", receipt(6, proof[:-1], signed), b"6", none, 0, UNVERIFIED),
        ("a hash too many", receipt(6, [*proof, proof[0]], signed), b"6", none, 0, UNVERIFIED),
        ("a checkpoint of another tree", receipt(6, proof, lone), b"6", none, 0, UNVERIFIED),
        ("another log's key", receipt(6, proof, note(text, SIBLING)), b"6", none, 0, UNVERIFIED),
        ("another origin", receipt(6, proof, note(checkpoint("x", 11, mth(d)), LOG)), b"6", none,
         0, UNVERIFIED),
        ("a witness too few", receipt(6, proof, signed + one), b"6", pair, 2, UNVERIFIED),
        ("one witness twice", receipt(6, proof, signed + one + W1.line(text, TIME + 1)), b"6",
         pair, 2, UNVERIFIED),
        ("one witness with two keys",
         receipt(6, proof, signed + one + sibling(W1).line(text, TIME)), b"6", [W1, sibling(W1)],
         2, UNVERIFIED),
        ("a broken cosignature beside enough good ones",
         receipt(6, proof, signed + one + broken(two)), b"6", pair, 1, UNVERIFIED),
    ]  # fmt: skip
    results: list[tuple[str, str, bytes, list[Key], int, str]] = [
        *cases,
        *((n, t, b"6", none, 0, MALFORMED) for n, t in malformed_receipts(proof, text)),
    ]
    return {
        "log": LOG.vkey,
        "made": {"index": 6, "proof": hexes(proof), "checkpoint": signed,
                 "extra": b"\x00 extra".hex(), "receipt": cases[2][1]},
        "opened": [
            {"name": n, "receipt": t, "entry": e.hex(), "witnesses": [w.vkey for w in known],
             "quorum": q, "result": r}
            for n, t, e, known, q, r in results
        ],
    }  # fmt: skip


def malformed_receipts(proof: list[bytes], text: str) -> list[tuple[str, str]]:
    signed = note(text, LOG)
    good, b = receipt(6, proof, signed), b64(proof[0])
    return [
        ("nothing", ""),
        ("another header", good.replace("@v1", "@v2")),
        ("no header", good[good.index("\n") + 1 :]),
        ("no index", good.replace("index 6\n", "")),
        ("no number", good.replace("index 6", "index ")),
        ("two spaces", good.replace("index 6", "index  6")),
        ("a leading zero", good.replace("index 6", "index 06")),
        ("an index below 0", good.replace("index 6", "index -6")),
        ("an index of 2^63", good.replace("index 6", f"index {2**63}")),
        ("an index twice", good.replace("index 6", "index 6\nindex 6")),
        ("an extra line after the index", good.replace("index 6", "index 6\nextra AAAA")),
        ("two extra lines", good.replace("index 6", "extra AAAA\nextra AAAA\nindex 6")),
        ("an empty extra line", good.replace("index 6", "extra \nindex 6")),
        ("extra data not in base64", good.replace("index 6", "extra ?\nindex 6")),
        ("a hash of 31 bytes", good.replace(b, b64(proof[0][:31]))),
        ("a hash not in base64", good.replace(b, "?" + b[1:])),
        ("a space after a hash", good.replace(b, b + " ")),
        ("64 hashes", receipt(6, [proof[0]] * 64, signed)),
        ("no blank line before the checkpoint", good.replace("\n\nlog", "\nlog")),
        ("two blank lines", good.replace("\n\nlog", "\n\n\nlog")),
        ("an unsigned checkpoint", receipt(6, proof, text)),
        ("a note that is no checkpoint", receipt(6, proof, note(TEXT, LOG))),
        ("no newline at the end", good[:-1]),
        ("a carriage return", good.replace("\n", "\r\n")),
        ("a line that is not ASCII", good.replace("index 6", "index \u0666")),
    ]
