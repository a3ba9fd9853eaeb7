# ruff: noqa: S608 - only names of columns, from this file, are put into statements
"""Who used what when, counted: an index over the log that answers for millions of accesses.

It is derived from the log and from nothing else, in a file of its own that may be deleted: then it
is made again. Several processes may bring it up to date; each batch goes in with the position in
the log that it begins at, so that no record counts twice, and with the hash of the leaf before
that: an index of another log, or of one that was forked or restored, is made again as well, and so
is one that is damaged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import UNSET

from bailment.incident.blast_radius import Use
from bailment.ledger.context import Context
from bailment.ledger.detection_records import FindingJudged, FindingRaised, StepUpAsked
from bailment.ledger.evidence_records import EvidenceStaled
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import INCIDENT_RECORDS
from bailment.ledger.records import (
    AccessClosed,
    AccessOpened,
    HoldAdded,
    HoldLifted,
    TokenIssued,
    decode_facts,
)
from bailment.ledger.tree import leaf_hash
from bailment.spec.policy import MAX_TOKEN_MS
from bailment.store.derived import DAMAGED, Derived, code

_DAY = 86_400_000
#: Records that go in together.
BATCH = 5_000
#: What this file's tables are; those of another format are made again.
FORMAT = 4
_VALUES = "count INTEGER, tokens INTEGER, first INTEGER, last INTEGER, began INTEGER, ended INTEGER"
_KEY = "device, model, purpose, network, declared, client"
#: Without a type no index would serve a comparison with another table's.
_TYPED = ", ".join(f"{one} INTEGER" for one in _KEY.split(", "))
_SCHEMA = f"""
CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), next INTEGER, leaf BLOB);
INSERT INTO position VALUES (1, 0, x'');
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE tokens (token TEXT PRIMARY KEY, device INTEGER, purpose INTEGER,
    until INTEGER) WITHOUT ROWID;
CREATE TABLE open (access TEXT PRIMARY KEY, day INTEGER, {_TYPED}) WITHOUT ROWID;
CREATE TABLE days ({_TYPED}, day INTEGER, {_VALUES},
    PRIMARY KEY (device, day, model, purpose, network, declared, client)) WITHOUT ROWID;
CREATE TABLE uses ({_TYPED}, {_VALUES}, PRIMARY KEY ({_KEY})) WITHOUT ROWID;
CREATE INDEX used_from ON uses (network);
CREATE INDEX declared_as ON uses (declared);
CREATE TABLE entries (entry INTEGER PRIMARY KEY, time INTEGER, type TEXT,
    about TEXT, facts BLOB);
CREATE INDEX told_of ON entries (about);
"""
_ADD = """
ON CONFLICT DO UPDATE SET count = count + excluded.count, tokens = tokens + excluded.tokens,
    first = min(first, excluded.first), last = max(last, excluded.last),
    began = min(began, excluded.began), ended = max(ended, excluded.ended)
"""
_MARKS = ", ".join("?" * 12)
_COLUMNS = f"{_KEY}, count, tokens, first, last, began, ended"
_SUMS = "sum(count), sum(tokens), min(first), max(last), min(began), max(ended)"
_NOTED: tuple[type[Facts], ...] = (
    FindingRaised,
    FindingJudged,
    StepUpAsked,
    HoldAdded,
    HoldLifted,
    EvidenceStaled,
    *INCIDENT_RECORDS,
)
#: device, model, purpose, network, declared, client, by the ids of their names.
Key = tuple[int, int, int, int, int, int]
#: One record: its entry, its time (ms) and its facts.
Entry = tuple[int, int, Facts]
#: The same, and the leaf as it is in the log.
Read = tuple[int, int, Facts, bytes]


class Exposure(Derived):
    """One connection. `follow` brings it up to date; everything else only reads. `warn` is told
    why what is there cannot be used, before it is made again."""

    def __init__(self, path: Path, warn: Callable[[str], None] = lambda why: None) -> None:
        self._names: dict[str, int] = {}
        self._version_seen = 0
        super().__init__(path, FORMAT, _SCHEMA, warn)

    @property
    def position(self) -> int:
        """The next entry to read."""
        return int(self.rows("SELECT next FROM position")[0][0])

    def _at(self) -> tuple[int, bytes]:
        """The next entry to read, and the hash of the leaf before it."""
        row = self._db.execute("SELECT next, leaf FROM position").fetchone()
        return int(row[0]), bytes(row[1])

    def rolled_back(self) -> None:
        """Ids of names may be gone."""
        self._names.clear()

    # From the log

    def follow(self, entries: Callable[[int], Iterator[Read]], most: int | None = None) -> int:
        """Take in what `entries(start)` has from the position on, `most` at most; how many records
        that were."""
        self.reopen()
        try:
            return self._follow(entries, most)
        except sqlite3.Error as error:
            if code(error) not in DAMAGED:
                raise self.unusable(error) from None
            self.replace(error)
            return self._follow(entries, most)

    def _follow(self, entries: Callable[[int], Iterator[Read]], most: int | None) -> int:
        done = 0
        left = self._from_here(entries)
        while batch := list(islice(left, BATCH if most is None else min(BATCH, most - done))):
            if self._take(batch):
                done += len(batch)
            else:  # somebody else was here: go on from there
                left = self._from_here(entries)
        return done

    def _from_here(self, entries: Callable[[int], Iterator[Read]]) -> Iterator[Read]:
        """What comes next; from the beginning, if what is known is not of this log."""
        at = self._at()
        if not at[0]:
            return entries(0)
        left = entries(at[0] - 1)
        before = next(left, None)
        if before is not None and leaf_hash(before[3]) == at[1]:
            return left
        self.empty(lambda: self._at() == at, "it is of another log, or of more than this one has")
        return self._from_here(entries)

    def _take(self, batch: list[Read]) -> bool:
        with self.writing():
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version_seen:  # another process wrote, or began anew
                self._names.clear()
                self._version_seen = version
            if self._at()[0] != batch[0][0]:
                return False
            for index, time, facts, _ in batch:
                self._one(index, time, facts)
            index, time, _, leaf = batch[-1]
            db = self._db
            db.execute("DELETE FROM tokens WHERE until < ?", (time - MAX_TOKEN_MS,))
            db.execute("UPDATE position SET next = ?, leaf = ?", (index + 1, leaf_hash(leaf)))
        return True

    def _one(self, index: int, time: int, facts: Facts) -> None:
        match facts:
            case TokenIssued():
                ids = self._name(facts.device), self._name(facts.purpose)
                self._db.execute(
                    "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?)",
                    (facts.token, *ids, facts.until),
                )
            case AccessOpened():
                self._opened(index, time, facts)
            case AccessClosed():
                self._closed(facts)
            case _ if isinstance(facts, _NOTED):
                about = next(
                    (str(getattr(facts, name)) for name in _ABOUT if hasattr(facts, name)), ""
                )
                row = (index, time, facts.TYPE, about, msgspec.json.encode(facts))
                self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", row)

    def _opened(self, index: int, time: int, facts: AccessOpened) -> None:
        query = "SELECT device, purpose FROM tokens WHERE token = ?"
        token = self._db.execute(query, (facts.token,)).fetchone()
        if token is None:  # the gateway lets nobody in without its record
            return
        context = Context() if facts.context is UNSET else facts.context
        name = self._name
        where = name(context.network), name(",".join(facts.networks)), name(context.client)
        key: Key = (token[0], name(facts.model), token[1], *where)
        self.add(key, time // _DAY, (1, 0, index, index, time, time))
        row = (facts.access, time // _DAY, *key)
        self._db.execute("INSERT OR REPLACE INTO open VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _closed(self, facts: AccessClosed) -> None:
        opened = self._db.execute(
            "DELETE FROM open WHERE access = ? RETURNING *", (facts.access,)
        ).fetchone()
        tokens = facts.input + facts.output
        if opened is None or not tokens:
            return
        device, model, purpose, network, declared, client = opened[2:]
        key = (device, model, purpose, network, declared, client)
        where = " AND ".join(f"{name} = ?" for name in _KEY.split(", "))
        self._db.execute(f"UPDATE uses SET tokens = tokens + ? WHERE {where}", (tokens, *key))
        self._db.execute(
            f"UPDATE days SET tokens = tokens + ? WHERE {where} AND day = ?",
            (tokens, *key, opened[1]),
        )

    def add(self, key: Key, day: int, values: tuple[int, int, int, int, int, int]) -> None:
        """Count accesses: how many, tokens, first and last entry, first and last time."""
        self._db.execute(f"INSERT INTO uses VALUES ({_MARKS}) {_ADD}", (*key, *values))
        self._db.execute(f"INSERT INTO days VALUES ({_MARKS}, ?) {_ADD}", (*key, day, *values))

    def _name(self, name: str) -> int:
        found = self._names.get(name)
        if found is None:
            if len(self._names) > 200_000:
                self._names.clear()
            self._db.execute("INSERT OR IGNORE INTO names (name) VALUES (?)", (name,))
            row = self._db.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
            found = self._names[name] = int(row[0])
        return found

    # Questions

    def uses(self, devices: Collection[str]) -> list[Use]:
        """What these devices did."""
        self._seek(devices)
        return self._read(f"SELECT {_COLUMNS} FROM sought s CROSS JOIN uses u ON u.device = s.id")

    def since(self, time: int) -> list[Use]:
        """What everybody did from the day (UTC) of a time (ms) on, one for each device, with the
        model alone told apart."""
        query = (
            f"SELECT device, model, 0, 0, 0, 0, {_SUMS} FROM days WHERE day >= ? "
            "GROUP BY device, model"
        )
        return self._read(query, time // _DAY)

    def of(self, kind: str, name: str) -> list[Use]:
        """What everybody did with a model or for a purpose; networks and clients are not told
        apart."""
        known = self.rows("SELECT id FROM names WHERE name = ?", (name,))
        column = {"model": "model", "purpose": "purpose"}[kind]
        query = (
            f"SELECT device, model, purpose, 0, 0, 0, {_SUMS} FROM uses WHERE {column} = ? "
            "GROUP BY device, model, purpose"
        )
        return self._read(query, known[0][0]) if known else []

    def before(
        self, devices: Collection[str], since: int, asked: int, places: Collection[tuple[str, str]]
    ) -> int:
        """How many accesses these devices made between two times (ms), at least: of a day that
        either lies in one counts. With `places` only those from such a network and client."""
        self._seek(devices)
        query = (
            "SELECT network, client, sum(iif(ended < ?1, count, 1)) FROM sought s "
            "CROSS JOIN days u ON u.device = s.id AND u.day >= ?2 "
            "WHERE ended >= ?3 AND began < ?1 GROUP BY network, client"
        )
        rows = self.rows(query, (asked, since // _DAY, since))
        names = self._texts({one for row in rows for one in row[:2]})
        found = ((names[network], names[client], count) for network, client, count in rows)
        return sum(count for *place, count in found if not places or tuple(place) in places)

    def _read(self, query: str, *values: int) -> list[Use]:
        rows = self.rows(query, values)
        names = self._texts({one for row in rows for one in row[:6]})
        return [
            Use(*map(names.__getitem__, row[:6]), *row[6:])  # type: ignore[arg-type]
            for row in rows
        ]

    def _texts(self, ids: Collection[int]) -> dict[int, str]:
        """The names of ids; all of them, where it is many that are asked for."""
        if len(ids) > 500:
            return {0: "", **dict(self.rows("SELECT id, name FROM names"))}
        query = "SELECT name FROM names WHERE id = ?"
        return {one: self.rows(query, (one,))[0][0] if one else "" for one in ids}

    def seen_from(self, network: str) -> list[str]:
        """The devices that were used from a network: an autonomous system, a hashed prefix, or one
        that a delegation declares."""
        query = "SELECT id FROM names WHERE name = ?1 OR ',' || name || ',' LIKE ?2"
        ids = [row[0] for row in self.rows(query, (network, f"%,{network},%"))]
        found: set[int] = set()
        for column in ("network", "declared"):
            for one in ids:
                rows = f"SELECT DISTINCT device FROM uses WHERE {column} = ?"
                found |= {row[0] for row in self.rows(rows, (one,))}
        names = self._texts(found)
        return [names[one] for one in found]

    def told(self, about: str = "", type: str = "") -> list[Entry]:
        """Findings, holds, and records of incidents: those about something, of a type, or all."""
        given = {"about": about, "type": type}
        where = " AND ".join(f"{name} = ?" for name, value in given.items() if value) or "1"
        rows = self.rows(
            f"SELECT entry, time, type, facts FROM entries WHERE {where} ORDER BY entry",
            tuple(filter(None, given.values())),
        )
        return [(row[0], row[1], decode_facts(row[2], row[3])) for row in rows]

    def _seek(self, devices: Collection[str]) -> None:
        self.rows("CREATE TEMP TABLE IF NOT EXISTS sought (id INTEGER PRIMARY KEY)")
        self.rows("DELETE FROM sought")
        given = msgspec.json.encode(list(devices)).decode()
        self.rows(
            "INSERT OR IGNORE INTO sought SELECT n.id FROM json_each(?) j "
            "CROSS JOIN names n ON n.name = j.value",
            (given,),
        )


#: By what a record is found, the first that it has.
_ABOUT = ("incident", "system", "notice", "rotation", "finding", "hold")
