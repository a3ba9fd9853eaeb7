"""Tables of networks: they say what a naive scan of the lists says, or that they are damaged."""

from __future__ import annotations

import ipaddress
import lzma
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.detect.network_lists import make_tables, read_list, role_of
from bailment.detect.networks import (
    NOTHING,
    Found,
    Tables,
    country_text,
    country_value,
    layer_of,
    read_tables,
    tables_of,
)
from bailment.errors import FormatError

DAY = 86_400_000
#: A stretch of public addresses, so small that ranges meet.
BASE = int(ipaddress.ip_address("8.8.0.0"))
ASN = "8.8.0.0,8.8.0.255,64500,One\n8.8.1.0,8.8.3.255,64501,Two\n"
COUNTRY = "134742016,134744063,SE\n"


def tables(asn: str = ASN, country: str = COUNTRY, **others: str) -> Tables:
    lists = [("asn", asn), ("country", country), *others.items()]
    return make_tables(
        [
            read_list(role.replace("_", "-"), f"{role}.txt", DAY, text.encode())
            for role, text in lists
        ]
    )


@st.composite
def ranges(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    cuts = sorted(draw(st.sets(st.integers(BASE, BASE + 400), min_size=2, max_size=24)))
    pairs = [(a, b - 1) for a, b in pairwise(cuts) if draw(st.booleans())]
    return [(a, b, draw(st.integers(1, 3))) for a, b in pairs]


def naive(rows: Sequence[tuple[int, int, int]], place: int) -> int:
    """The value of the row that begins last among those that hold the place."""
    return max(
        ((first, value) for first, last, value in rows if first <= place <= last), default=(0, 0)
    )[1]


@settings(deadline=None)
@given(ranges(), ranges(), ranges(), st.integers(BASE - 2, BASE + 402))
def test_a_look_up_agrees_with_a_scan_of_the_lists(
    asn: list[tuple[int, int, int]],
    country: list[tuple[int, int, int]],
    vpn: list[tuple[int, int, int]],
    place: int,
) -> None:
    codes = ("", "SE", "DE", "NO")
    lists = [
        ("asn", "".join(f"{a},{b},{v},x\n" for a, b, v in asn)),
        ("country", "".join(f"{a},{b},{codes[v]}\n" for a, b, v in country)),
        ("vpn", "".join(f"{ipaddress.ip_address(a)}\n" for a, _, _ in vpn)),
    ]
    if not all(text for _, text in lists):
        return
    made = make_tables([read_list(r, f"{r}.x", DAY, t.encode()) for r, t in lists])  # type: ignore[arg-type]
    expected = Found(
        naive(asn, place),
        codes[naive(country, place)],
        "vpn" if any(a == place for a, _, _ in vpn) else "",
    )
    address = str(ipaddress.ip_address(place))
    assert made.lookup(address) == read_tables(made.encode()).lookup(address) == expected


@settings(deadline=None)
@given(ranges(), st.integers(1, 30), st.integers(BASE - 2, BASE + 402))
def test_reduced_tables_say_what_the_full_ones_do_or_nothing(
    rows: list[tuple[int, int, int]], least: int, place: int
) -> None:
    layer = layer_of(rows)
    made = tables_of((), [layer] * 3 + [layer_of((), 64)] * 3)
    small, full = (
        one.lookup(str(ipaddress.ip_address(place))).asn
        for one in (made.reduced((least, 1, 1)), made)
    )
    assert small in (full, 0)
    assert made.reduced((1, 1, 1)).lookup(str(ipaddress.ip_address(place))).asn == full


def test_of_overlapping_ranges_the_later_one_holds() -> None:
    made = tables(asn="8.8.0.0,8.8.1.10,1,A\n8.8.1.0,8.8.2.255,2,B\n")
    assert [made.lookup(f"8.8.1.{last}").asn for last in (0, 10, 11)] == [2, 2, 2]
    assert made.lookup("8.8.0.255").asn == 1


def test_an_address_that_is_several_kinds_is_the_worst_of_them() -> None:
    made = tables(hosting="8.8.0.0/22\n", vpn="8.8.1.0/24\n", tor="F, 8.8.1.7, 443\n")
    kinds = [made.lookup(f"8.8.{tail}").kind for tail in ("0.1", "1.1", "1.7", "4.0")]
    assert kinds == ["hosting", "vpn", "tor", ""]


def test_all_of_a_hosting_network_is_hosting() -> None:
    made = tables(hosting_asn="AS64501 # Two\n")
    assert [made.lookup(one).kind for one in ("8.8.0.1", "8.8.1.1")] == ["", "hosting"]


def test_ipv6_is_told_by_its_upper_half() -> None:
    made = tables(asn=ASN + "2a00::,2a00:ff::,7,Six\n", tor="2a00:0:0:7::1\n")
    assert made.lookup("2a00:0:0:7::99") == Found(7, "", "tor")
    assert made.lookup("2b00::1") == NOTHING
    assert made.lookup("::ffff:8.8.0.1").asn == 64500


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "::1", "fe80::1", "", "x", "8.8.8", "8.8.8.8/8", "9" * 50]
)
def test_of_what_is_no_public_address_nothing_is_known(address: str) -> None:
    assert tables(asn="0.0.0.0,255.255.255.255,9,all\n").lookup(address) == NOTHING


def test_the_age_is_that_of_the_oldest_list() -> None:
    lists = [
        read_list("asn", "asn.csv", 5 * DAY, ASN.encode()),
        read_list("country", "country.csv", 2 * DAY, COUNTRY.encode()),
    ]
    made = make_tables(lists)
    assert (made.built, made.age_days(9 * DAY), made.age_days(0)) == (2 * DAY, 7, 0)


@pytest.mark.parametrize(
    ("role", "data", "says"),
    [
        ("asn", b"8.8.0.0,8.8.0.255,64500,x\n8.8.1.0", "line 2: not `first,last,value`"),
        ("asn", b"8.8.1.0,8.8.1.255,1,x\n8.8.0.0,8.8.0.255,2,y\n", "line 2: the range is out of"),
        ("asn", b"8.8.0.0,8.8.9.255,1,x\n8.8.1.0,8.8.1.255,2,y\n", "line 2: .* lies within"),
        ("asn", b"8.8.0.255,8.8.0.0,1,x\n", "line 1: the range ends before it begins"),
        ("asn", b"8.8.0.0,2a00::,1,x\n", "line 1: the range begins in one version"),
        ("asn", b"8.8.0.0,8.8.0.255,AS-1,x\n", "line 1: `AS-1` is no number"),
        ("asn", b"8.8.0.0,8.8.0.255,9999999999,x\n", "line 1: .* more than 32 bits"),
        ("asn", b"9" * 39 + b",1,1\n", "line 1"),
        ("asn", b"8.8.0.0,8.8.0.255,1,\"x\n", "line"),
        ("asn", b"8.8.0.0,8.8.0.255,1," + b"x" * 2000, "line 1: more than"),
        ("asn", b"# nothing\n\n", "there is nothing in it"),
        ("country", b"# c\n8.8.0.0,8.8.0.255,Sweden\n", "line 2: `Sweden` is no country"),
        ("country", b"8.8.0.0,8.8.0.255,s1\n", "line 1: `s1` is no country"),
        ("vpn", b"8.8.0.0/24\n8.8.0.1/24\n", "line 2: .* has host bits set"),
        ("vpn", b"8.8.0.0/24\n\xff\xfe\n", "line 2: not UTF-8"),
        ("tor", b"<html>8</html>\n", "line 1"),
        ("hosting-asn", b"AS64500 # x\nsixty\n", "line 2: `sixty` is no number"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read_is_named_with_the_line(
    role: str, data: bytes, says: str
) -> None:
    if b'"x' in data:  # an open quote holds nothing back: the line ends the row
        assert read_list("asn", "list.x", DAY, data).rows
        return
    with pytest.raises(FormatError, match=f"`list.x`:? ?{says}"):
        read_list(role, "list.x", DAY, data)  # type: ignore[arg-type]


def test_a_list_is_told_by_its_name() -> None:
    names = {
        "asn-ipv4-num.csv": "asn",
        "asn_ipv4.csv.gz": "asn",
        "asn-country-ipv6.csv": "country",
        "x4b_datacenter_asn.txt.gz": "hosting-asn",
        "datacenter_ipv4.txt": "hosting",
        "vpn_ipv4.txt": "vpn",
        "tor_exits_latest.csv.gz": "tor",
        "README.md": None,
        "asn.csv.bak": None,
    }
    assert {name: role_of(name) for name in names} == names


def test_tables_are_not_made_of_half_the_lists_or_of_one_twice() -> None:
    asn = read_list("asn", "asn.csv", DAY, ASN.encode())
    country = read_list("country", "country.csv", DAY, COUNTRY.encode())
    with pytest.raises(FormatError, match="no list of country"):
        make_tables([asn])
    with pytest.raises(FormatError, match="two lists of asn for IPv4"):
        make_tables([asn, asn, country])


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_file_is_refused_or_read_as_some_tables(data: st.DataObject) -> None:
    whole = bytearray(tables().encode())
    match data.draw(st.sampled_from(("cut", "flip"))):
        case "cut":
            del whole[data.draw(st.integers(0, len(whole) - 1)) :]
        case "flip":
            whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = read_tables(bytes(whole))
    except FormatError:
        return
    found.lookup("8.8.0.1")


@pytest.mark.parametrize(
    ("index", "differences", "value"), [(0, (5, 0), 1), (1, (5, 6), 729), (2, (5, 6), 4)]
)
def test_a_file_whose_layers_make_no_sense_is_refused(
    index: int, differences: tuple[int, int], value: int
) -> None:
    made, columns = tables_of((), [layer_of(())] * 3 + [layer_of((), 64)] * 3), [b""] * 6
    planes = bytes(differences) + bytes(6)
    columns[index] = (
        planes
        + value.to_bytes(2, "little")[:1] * 2
        + value.to_bytes(2, "little")[1:] * 2
        + bytes(4)
    )
    head = msgspec.structs.replace(
        made.head, sizes=tuple(2 if at == index else 0 for at in range(6))
    )
    file = (
        b"bailment-networks 1\n"
        + msgspec.json.encode(head)
        + b"\n"
        + lzma.compress(b"".join(columns))
    )
    with pytest.raises(FormatError, match=("asn", "country", "kind")[index]):
        read_tables(file)


def test_a_file_that_unpacks_to_more_than_it_says_is_refused() -> None:
    made = tables()
    head = b"bailment-networks 1\n" + msgspec.json.encode(made.head) + b"\n"
    with pytest.raises(FormatError, match="not as long as they say"):
        read_tables(head + lzma.compress(bytes(1 << 20)))


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2))
def test_a_countrys_code_comes_back(code: str) -> None:
    assert country_text(country_value(code)) == code
