"""What an outsider sees of the log says nothing to whoever guesses: a dictionary is tried, with and without what opens it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import rfc8785

from audit.log import absence, case_tags
from audit.log.commitments import Opening, commit
from audit.log.merkle import leaf_hash
from core import keystore
from core.database import session
from search import requests
from search.exceptions import SearchRefused
from search.models import SearchRequest
from tests.search.stage import NUMBER, STORY, Stage


@pytest.fixture
def searched(stage: Stage, searched: SearchRequest, log_at_work: None) -> SearchRequest:
    """Also a request that was refused."""
    with contextlib.suppress(SearchRefused):
        requests.submit(by=stage.cast.olivia, request=stage.drafted(), fields=stage.fields(purpose=""))
    return searched


def bodies() -> list[bytes]:
    return [bytes(body) for (body,) in session().execute("SELECT body FROM log.entry ORDER BY id").fetchall()]


def public() -> set[str]:
    """Every hash that somebody sees who has tiles and entries: leaves, commitments, tags, digests."""
    found = {leaf_hash(body).hex() for body in bodies()}
    for body in bodies():
        entry = json.loads(body)
        for value in [*entry.values(), *entry.get("c", {}).values()]:
            if isinstance(value, str) and len(value) == 64:
                found.add(value)
    return found


def dictionary(stage: Stage, request: SearchRequest) -> list[Any]:
    """What a journalist, a neighbour or a colleague would try; the right answers are among it."""
    people = [stage.cast.olivia, stage.cast.sam, stage.cast.erin]
    known = [NUMBER, STORY, request.case_id, request.id, *(each.id for each in people)]
    known += [each.username for each in people] + [each.full_name for each in people]
    known += ["justification", "robbery", "identify_suspect", "G0000", "bookings", ""]
    return [str(each) for each in known] + [f"2026-{number:05d}" for number in range(130, 160)]


FIELDS = ("case_number", "justification", "photo", "box", "original", "number", "username", "full_name", "note")


def guesses(words: list[Any]) -> Iterator[str]:
    """The hashes that follow from a word without anything secret."""
    for word in words:
        plain, quoted = str(word).encode(), rfc8785.dumps(word)
        for text in (plain, quoted, plain.lower(), plain.upper(), plain.hex().encode()):
            for prefix in (b"", b"\0", absence.LABEL, b"glasscase/v1\0"):
                yield hashlib.sha256(prefix + text).hexdigest()
        for field in FIELDS:
            for salt in (b"", bytes(16), bytes(32), hashlib.sha256(plain).digest()):
                yield commit(field, salt, word)
                yield hashlib.sha256(field.encode() + b"\0" + salt + plain).hexdigest()


def test_a_dictionary_finds_nothing_in_the_public_log(stage: Stage, searched: SearchRequest) -> None:
    seen = public()
    assert len(seen) > 40
    assert not seen & set(guesses(dictionary(stage, searched)))


def test_no_leaf_can_be_made_from_a_guessed_entry_without_its_nonce(stage: Stage, searched: SearchRequest) -> None:
    """Everything of the entry is known but sixteen random bytes; given those, the leaf is found."""
    seen = public()
    tried = 0
    for body in bodies():
        entry = json.loads(body)
        for nonce in ("0" * 32, entry["id"].replace("-", ""), hashlib.sha256(entry["id"].encode()).hexdigest()[:32]):
            assert leaf_hash(rfc8785.dumps(entry | {"nonce": nonce})).hex() not in seen
        assert leaf_hash(rfc8785.dumps(entry)).hex() in seen
        tried += 1
    assert tried > 20


def test_no_number_stands_in_an_entry(stage: Stage, searched: SearchRequest) -> None:
    text = b"\n".join(bodies())
    for word in (NUMBER, STORY[:20], stage.cast.olivia.username, stage.cast.olivia.full_name):
        assert word.encode() not in text


def test_with_the_salt_or_the_key_the_same_dictionary_finds_the_value(
    stage: Stage, searched: SearchRequest, as_superuser: Any
) -> None:
    """So that the tests above can fail: what they look for is there."""
    seen, words = public(), dictionary(stage, searched)
    rows = as_superuser.execute("SELECT field, record, sealed FROM vault.sealed WHERE record = %s", [searched.id])
    openings: list[Opening] = []
    for _, record, data in rows:
        clear = json.loads(keystore.unseal(keystore.get(uuid.UUID(str(record))), "vault", bytes(data)))
        openings.append(Opening(clear["field"], bytes.fromhex(clear["salt"]), clear["value"]))
    found = {(one.field, word) for one in openings for word in words if commit(one.field, one.salt, word) in seen}
    assert found == {("case_number", NUMBER), ("justification", STORY)}
    entries = [json.loads(body) for body in bodies()]
    tagged = [entry for entry in entries if "case_tag" in entry]
    assert len(tagged) == 3
    told = {word for entry in tagged for word in words if absence.tag(case_tags.sign(word, entry["nonce"])) in seen}
    assert told == {NUMBER}
