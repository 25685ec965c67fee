"""Statements of absence, honest and forged, held against small logs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from audit.log import absence, rsa
from audit.log.absence import Key, Outcome, Reading, Statement, StatementError
from audit.log.verify import main
from tests.audit.log.logs import ORIGIN, Log, write
from tests.audit.log.logs import entry as plain_entry

CASE, OTHER = "RV-2026-0042", "RV-2026-0043"
REQUEST = {
    "requester": str(uuid.UUID(int=1)),
    "purpose": "identify_suspect",
    "offence": "robbery",
    "legal_basis": "probable_cause",
    "gallery": str(uuid.UUID(int=2)),
    "edition": 1,
    "threshold": 900000,
    "k": 10,
    "emergency": False,
}


@cache
def rsa_key(number: int = 0) -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@cache
def public(key: RSAPrivateKey) -> Key:
    numbers = key.private_numbers()
    modulus = numbers.public_numbers.n
    return Key(modulus, tuple(pow(each, numbers.d, modulus) for each in rsa.challenges(modulus)))


def sign(key: RSAPrivateKey, number: str, nonce: str) -> bytes:
    return key.sign(absence.message(number, nonce), PKCS1v15(), SHA256())


def case_id(number: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, number))


@dataclass
class Diary:
    """A log in which searches are asked for and run."""

    key: RSAPrivateKey = field(default_factory=rsa_key)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def add(self, type_: str, **fields: Any) -> int:
        number = len(self.bodies)
        body = {
            "v": 1,
            "type": type_,
            "id": str(uuid.UUID(int=1000 + number)),
            "at": 1_800_000_000_000 + number,
            "nonce": f"{number:032x}",
        }
        self.bodies.append(body | fields)
        return number

    def announce(self) -> int:
        return self.add(absence.KEYED, key=public(self.key).hash)

    def tagged(self, type_: str, number: str, **fields: Any) -> int:
        index = self.add(type_, **fields)
        body = self.bodies[index]
        body["case_tag"] = absence.tag(sign(self.key, number, body["nonce"]))
        body["case_key"] = public(self.key).hash
        return index

    def search(self, number: str) -> list[int]:
        request, ask = str(uuid.uuid4()), {**REQUEST, "case": case_id(number)}
        h = "a" * 64
        return [
            self.tagged("search:request:submitted", number, request=request, law_pack="utah", faces=1, **ask),
            self.tagged("search:intent:filed", number, request=request, model=h, claim=h, expires=1, params=h, **ask),
            self.add(
                "search:probe:bound",
                request=request,
                intent=str(uuid.uuid4()),
                edition=1,
                version=1,
                emergency=False,
                c={"embedding": h},
            ),
        ]

    def refuse(self, number: str | None, **fields: Any) -> int:
        said = {"reasons": ["case:unknown"], "law_pack": "utah", **fields}
        if number is None:
            return self.add("search:request:refused", **said)
        return self.tagged("search:request:refused", number, **said)

    @property
    def encoded(self) -> list[bytes]:
        return [json.dumps(body, sort_keys=True, separators=(",", ":")).encode() for body in self.bodies]

    def state(self, number: str, first: int = 0, last: int | None = None) -> Statement:
        last = len(self.bodies) - 1 if last is None else last
        own = public(self.key)
        signatures = {
            index: sign(self.key, number, body["nonce"])
            for index, body in enumerate(self.bodies)
            if first <= index <= last and "case_tag" in body
        }
        return Statement(ORIGIN, number, first, last, {own.hash: own}, signatures)

    def judge(self, statement: Statement) -> Outcome:
        reading = Reading(Statement.parse(statement.encode()))
        reading(0, self.encoded)
        return reading.outcome(ORIGIN, len(self.bodies))


def full(numbers: Iterable[str]) -> tuple[Diary, list[list[int]]]:
    diary = Diary()
    diary.announce()
    return diary, [diary.search(number) for number in numbers]


def test_no_search_for_a_case_is_shown_without_opening_the_others() -> None:
    diary, _ = full([OTHER, "X-1", OTHER])
    diary.refuse("X-2")
    diary.refuse(None)
    outcome = diary.judge(diary.state(CASE))
    assert outcome.is_absent
    assert (outcome.compared, outcome.numberless) == (7, 1)
    [line] = outcome.lines()
    assert line.startswith('absence shown: no search for case "RV-2026-0042", entries 0 to 11;')
    assert OTHER.encode() not in diary.state(CASE).encode()


def test_searches_for_the_case_are_named() -> None:
    diary, [_, mine, _] = full([OTHER, CASE, OTHER])
    refused = diary.refuse(CASE)
    outcome = diary.judge(diary.state(CASE))
    assert not outcome.is_absent
    assert [index for index, _ in outcome.of_case] == [mine[0], mine[1], refused]
    assert outcome.lines()[-1].startswith("absence not shown: ")
    assert diary.judge(diary.state(CASE, first=0, last=mine[0] - 1)).is_absent


def test_a_range_that_cuts_a_search_in_two_is_not_called_empty() -> None:
    diary, [mine] = full([CASE])
    outcome = diary.judge(diary.state(CASE, first=mine[2], last=mine[2]))
    assert [index for index, _ in outcome.open] == [mine[2]]
    assert not outcome.is_absent


def test_entries_without_a_tag_are_listed_and_never_absent() -> None:
    diary, [search] = full([OTHER])
    for gone in ("case_tag", "case_key"):
        del diary.bodies[search[1]][gone]
    old = diary.refuse(None, case=case_id(CASE))
    committed = diary.refuse(None, c={"case_number": "b" * 64})
    outcome = diary.judge(diary.state(CASE))
    assert [index for index, _ in outcome.open] == [search[1], search[2], old, committed]
    assert not outcome.is_absent


def test_a_tag_under_a_key_that_was_not_announced_before_proves_nothing() -> None:
    diary = Diary()
    early = diary.refuse(OTHER)
    diary.announce()
    late = diary.refuse(OTHER)
    outcome = diary.judge(replace(diary.state(CASE), signatures={late: diary.state(CASE).signatures[late]}))
    assert [index for index, _ in outcome.open] == [early]
    assert outcome.compared == 1


def test_a_search_of_the_same_case_id_under_another_tag_is_a_contradiction() -> None:
    diary, [mine] = full([CASE])
    false = diary.tagged("search:request:refused", OTHER, reasons=["case:closed"], law_pack="utah", case=case_id(CASE))
    outcome = diary.judge(diary.state(CASE))
    assert [index for index, _ in outcome.of_case] == mine[:2]
    assert [index for index, _ in outcome.open] == [false]


# Forged statements: the log says CASE was searched, and its operator would like to show that it was not.


def forged(diary: Diary, mine: list[int]) -> dict[str, Statement]:
    honest = diary.state(CASE)
    other_key = public(rsa_key(1))
    own = public(diary.key)
    nonce = diary.bodies[mine[0]]["nonce"]

    def with_signature(signature: bytes, **changes: Any) -> Statement:
        return replace(honest, signatures={**honest.signatures, mine[0]: signature}, **changes)

    without = {index: one for index, one in honest.signatures.items() if index != mine[0]}
    last = bytes([honest.signatures[mine[0]][-1] ^ 1])
    return {
        "another key": with_signature(sign(rsa_key(1), CASE, nonce)),
        "another key added": with_signature(
            sign(rsa_key(1), CASE, nonce), keys={own.hash: own, other_key.hash: other_key}
        ),
        "a key with the roots of another": replace(honest, keys={own.hash: replace(own, roots=other_key.roots)}),
        "a missing entry": replace(honest, signatures=without),
        "the signature of another nonce": with_signature(sign(diary.key, CASE, diary.bodies[mine[1]]["nonce"])),
        "the signature of another number": with_signature(sign(diary.key, OTHER, nonce)),
        "the signatures of another statement": replace(honest, signatures=diary.state(OTHER).signatures),
        "a changed signature": with_signature(honest.signatures[mine[0]][:-1] + last),
        "an empty signature": with_signature(b""),
        "another spelling": replace(diary.state("rv-2026-0042"), case_number="rv-2026-0042"),
        "signatures too many": replace(honest, signatures={**honest.signatures, 0: honest.signatures[mine[0]]}),
        "entries that are not there yet": replace(honest, last=len(diary.bodies)),
        "another log": replace(honest, origin="log.example.org/other"),
    }


FORGERIES = sorted(forged(*(lambda found: (found[0], found[1][0]))(full([CASE]))))


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forged_statement_is_refused(what: str) -> None:
    diary, [_, mine] = full([OTHER, CASE])
    statement = forged(diary, mine)[what]
    with pytest.raises(StatementError):
        diary.judge(statement)


def test_a_statement_under_no_key_of_the_log_shows_nothing() -> None:
    diary, _ = full([OTHER])
    other = public(rsa_key(1))
    outcome = diary.judge(replace(diary.state(CASE), keys={other.hash: other}, signatures={}))
    assert outcome.compared == 0
    assert len(outcome.open) == 3
    assert not outcome.is_absent


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: "[]",
        lambda text: "{}",
        lambda text: text[:-3],
        lambda text: text.replace("v1", "v2"),
        lambda text: text.replace('"first":0', '"first":-1'),
        lambda text: text.replace('"first":0', '"first":99'),
        lambda text: text.replace('"first":0', '"first":false'),
        lambda text: text.replace('"first":0', '"first":0,"first":0'),
        lambda text: text.replace('"first":0', '"first":0,"note":""'),
        lambda text: text.replace('"1":"', '"01":"'),
        lambda text: text.replace('"1":"', '"1":"="'),
        lambda text: text.replace('"roots":', '"root":'),
        lambda text: text.replace('"origin":"', '"origin":["').replace('glasscase",', 'glasscase"],', 1),
        lambda text: "[" * 100_000,
    ],
)
def test_a_malformed_statement_is_refused(change: Any) -> None:
    diary, _ = full([OTHER])
    text = diary.state(CASE).encode().decode()
    with pytest.raises(StatementError):
        Statement.parse(change(text).encode())


def test_the_command_checks_a_statement_against_the_whole_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diary, [_, mine] = full([OTHER, CASE])
    bodies = [*diary.encoded, *(plain_entry(number) for number in range(300))]
    log = Log(bodies)
    folder = write(log.files(), tmp_path / "log")
    command = [str(folder), "--key", str(log.key.public), "--absence", str(tmp_path / "stated")]

    (tmp_path / "stated").write_bytes(replace(diary.state("X-9"), last=len(bodies) - 1).encode())
    assert main(command) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2].startswith('absence shown: no search for case "X-9", entries 0 to 306;')
    assert out[-1].startswith("OK size=307 ")

    (tmp_path / "stated").write_bytes(diary.state(CASE).encode())
    assert main(command) == 0
    out = capsys.readouterr().out
    assert f"entry {mine[0]} is for this case: search:request:submitted" in out
    assert "absence not shown: " in out

    (tmp_path / "stated").write_bytes(forged(diary, mine)["a missing entry"].encode())
    assert main(command) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("FAIL: absence: the statement leaves out entry ")
    with pytest.raises(SystemExit):
        main(command[1:])
