"""Proofs made from the text of RFC 6962 alone (write_vectors.py): both verifiers say of each whether it holds."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from audit.log.merkle import Prover, verify_consistency, verify_inclusion
from tests.audit.log.second_verifier import second_verifier
from tests.audit.log.test_merkle import LEAVES, ROOT_OF, TILES
from tests.audit.log.write_vectors import VECTORS, vectors

KEPT: dict[str, list[dict[str, Any]]] = json.loads(VECTORS.read_text(encoding="utf-8"))


def _bytes(each: dict[str, Any]) -> dict[str, Any]:
    hashed = {key: bytes.fromhex(each[key]) for key in ("leaf", "root", "old_root", "new_root") if key in each}
    return each | hashed | {"proof": [bytes.fromhex(item) for item in each["proof"]]}


def test_the_vectors_are_those_of_the_definitions() -> None:
    assert vectors() == KEPT
    for kind, of in KEPT.items():
        assert {each["holds"] for each in of} == {True, False}, kind
        assert len(of) > 100, kind


@pytest.mark.parametrize("kind", KEPT)
def test_a_proof_holds_where_the_definition_says_so(kind: str) -> None:
    for each in map(_bytes, KEPT[kind]):
        given = {key: value for key, value in each.items() if key not in ("what", "holds")}
        check: Any = verify_inclusion if kind == "inclusion" else verify_consistency
        assert check(**given) is each["holds"], each


@pytest.mark.parametrize("kind", KEPT)
def test_the_second_verifier_says_the_same(kind: str) -> None:
    other = second_verifier()
    for each in map(_bytes, KEPT[kind]):
        if kind == "inclusion":
            found = other.verify_inclusion(each["leaf"], each["index"], each["size"], each["proof"], each["root"])
        else:
            found = other.verify_consistency(
                each["old"], each["new"], each["old_root"], each["new_root"], each["proof"]
            )
        assert found is each["holds"], each


def test_proofs_hold_in_trees_of_every_size_up_to_600() -> None:
    choose = random.Random(6962)
    for size in range(1, 601):
        prover = Prover(size, TILES.get)
        for index in {0, size - 1, choose.randrange(size)}:
            given: dict[str, Any] = {"leaf": LEAVES[index], "index": index, "size": size, "root": ROOT_OF[size]}
            assert verify_inclusion(**given, proof=prover.inclusion(index)), (index, size)
        for old in {0, 1, size, size - 1, choose.randint(0, size)}:
            assert prover.root(old) == ROOT_OF[old]
            proof = prover.consistency(old)
            given = {"old": old, "new": size, "old_root": ROOT_OF[old], "new_root": ROOT_OF[size]}
            assert verify_consistency(**given, proof=proof), (old, size)
            if 0 < old < size:
                assert not verify_consistency(**given | {"old_root": ROOT_OF[old - 1]}, proof=proof), (old, size)
