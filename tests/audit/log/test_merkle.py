"""The tree against the definition of RFC 6962, and proofs that hold for the right tree only."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.log.merkle import (
    EMPTY_ROOT,
    Prover,
    Tree,
    leaf_hash,
    node_hash,
    perfect_root,
    verify_consistency,
    verify_inclusion,
)
from audit.log.tiles import MalformedTile, Missing, paths_for
from tests.audit.log.logs import HashTiles, rfc_root

# The inputs and roots that RFC 6962 implementations share (certificate-transparency's reference tree).
INPUTS = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(600)]
TILES = HashTiles(LEAVES)
ROOT_OF = [rfc_root(LEAVES[:size]) for size in range(601)]

BIG_SIZES = (254, 255, 256, 257, 511, 512, 513, 65_534, 65_535, 65_536, 65_537)


@pytest.fixture(scope="module")
def big() -> HashTiles:
    return HashTiles([leaf_hash(number.to_bytes(4, "big")) for number in range(65_537)])


@pytest.fixture(scope="module")
def big_roots(big: HashTiles) -> dict[int, bytes]:
    return {size: rfc_root(big.levels[0][:size]) for size in BIG_SIZES}


def tree_of(size: int) -> Tree:
    tree = Tree()
    tree.extend(LEAVES[:size])
    return tree


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_shared_reference_tree(size: int) -> None:
    tree = Tree()
    tree.extend(leaf_hash(data) for data in INPUTS[:size])
    assert tree.root().hex() == ROOTS[size]


def test_leaves_and_nodes_are_hashed_in_different_domains() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(left, right) == hashlib.sha256(b"\x01" + left + right).digest()
    assert leaf_hash(left + right) == hashlib.sha256(b"\x00" + left + right).digest()
    assert node_hash(left, right) != leaf_hash(left + right)


def test_every_size_up_to_600_has_the_root_of_the_definition() -> None:
    tree = Tree()
    assert tree.root() == EMPTY_ROOT
    for size, leaf in enumerate(LEAVES, start=1):
        tree.append(leaf)
        assert (tree.size, tree.root()) == (size, ROOT_OF[size])


def test_filled_tiles_are_returned_once_with_their_root_lowest_level_first(big: HashTiles) -> None:
    tree = Tree()
    filled = tree.extend(big.levels[0])
    assert [(tile.level, tile.n) for tile in filled] == [(0, n) for n in range(256)] + [(1, 0)]
    for tile in filled:
        assert tile.hashes == b"".join(big.levels[tile.level][tile.n * 256 : tile.n * 256 + 256])
        assert tile.root == big.levels[tile.level + 1][tile.n]


@pytest.mark.parametrize("size", [*range(4), 255, 256, 257, 300, 511, 512, 513, 600])
def test_full_and_partial_tiles_together_are_the_tiles_of_the_size(size: int) -> None:
    tree = Tree()
    stored = {tile.path: data for tile, data in tree.partial_tiles()}
    for leaf in LEAVES[:size]:
        for full in tree.append(leaf):
            stored[f"tile/{full.level}/{full.n:03d}"] = full.hashes
    stored |= {tile.path: data for tile, data in tree.partial_tiles()}
    assert stored == {tile.path: TILES.get(tile.path) for tile in paths_for(size) if tile.level != "entries"}


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 512, 599])
def test_a_tree_loaded_from_its_partial_tiles_goes_on_as_if_never_put_down(size: int) -> None:
    loaded, kept = Tree.load(size, TILES.get), tree_of(size)
    assert loaded.root() == kept.root()
    assert loaded.extend(LEAVES[size:]) == kept.extend(LEAVES[size:])
    assert (loaded.size, loaded.root()) == (600, ROOT_OF[600])


def test_a_tree_with_several_levels_can_be_loaded(big: HashTiles, big_roots: dict[int, bytes]) -> None:
    for size, root in big_roots.items():
        assert Tree.load(size, big.get).root() == root


def test_loading_refuses_a_tile_of_wrong_length_and_one_that_is_missing() -> None:
    with pytest.raises(MalformedTile, match="holds 31 bytes instead of 32"):
        Tree.load(1, {"tile/0/000.p/1": bytes(31)}.__getitem__)
    nothing: dict[str, bytes] = {}
    with pytest.raises(Missing, match=r"tile/0/000\.p/1 is missing"):
        Tree.load(1, nothing.__getitem__)


def test_a_copy_grows_on_its_own() -> None:
    tree = tree_of(300)
    twin = tree.copy()
    twin.append(LEAVES[300])
    assert (tree.size, tree.root()) == (300, ROOT_OF[300])
    assert (twin.size, twin.root()) == (301, ROOT_OF[301])


def test_a_perfect_root_of_one_hash_is_that_hash() -> None:
    assert perfect_root([LEAVES[0]]) == LEAVES[0]
    assert perfect_root(LEAVES[:256]) == ROOT_OF[256]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_an_inclusion_proof_holds_for_its_own_leaf_index_and_root_only(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 600))
    index = data.draw(st.integers(0, size - 1))
    proof = Prover(size, TILES.get).inclusion(index)
    right: dict[str, Any] = {"leaf": LEAVES[index], "index": index, "size": size, "proof": proof, "root": ROOT_OF[size]}
    assert verify_inclusion(**right)
    other = data.draw(st.integers(0, 599).filter(lambda number: number != index))
    assert not verify_inclusion(**right | {"leaf": LEAVES[other]})
    assert not verify_inclusion(**right | {"index": other})
    assert not verify_inclusion(**right | {"root": ROOT_OF[size - 1]})
    assert not verify_inclusion(**right | {"proof": [*proof, LEAVES[0]]})
    assert not verify_inclusion(**right | {"leaf": LEAVES[index][:31]})
    if proof:
        assert not verify_inclusion(**right | {"proof": proof[:-1]})
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not verify_inclusion(**right | {"proof": [*proof[:at], EMPTY_ROOT, *proof[at + 1 :]]})
        assert not verify_inclusion(**right | {"proof": [*proof[:at], proof[at][:-1], *proof[at + 1 :]]})


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_consistency_proof_holds_for_its_own_two_roots_only(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 600))
    old = data.draw(st.integers(1, new))
    proof = Prover(new, TILES.get).consistency(old)
    right: dict[str, Any] = {"old": old, "new": new, "proof": proof, "old_root": ROOT_OF[old], "new_root": ROOT_OF[new]}
    assert verify_consistency(**right)
    assert not verify_consistency(**right | {"old_root": EMPTY_ROOT})
    assert not verify_consistency(**right | {"new_root": EMPTY_ROOT})
    assert not verify_consistency(**right | {"proof": [*proof, LEAVES[0]]})
    if proof:
        assert not verify_consistency(**right | {"proof": proof[:-1]})
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not verify_consistency(**right | {"proof": [*proof[:at], EMPTY_ROOT, *proof[at + 1 :]]})


def test_a_proof_of_a_subtree_is_no_proof_of_the_tree() -> None:
    inner = Prover(4, TILES.get)
    proof = inner.inclusion(1)
    assert verify_inclusion(leaf=LEAVES[1], index=1, size=4, proof=proof, root=ROOT_OF[4])
    assert not verify_inclusion(leaf=LEAVES[1], index=1, size=8, proof=proof, root=ROOT_OF[4])
    proof = inner.consistency(2)
    assert verify_consistency(old=2, new=4, proof=proof, old_root=ROOT_OF[2], new_root=ROOT_OF[4])
    assert not verify_consistency(old=2, new=8, proof=proof, old_root=ROOT_OF[2], new_root=ROOT_OF[4])


def test_all_proofs_of_all_sizes_up_to_40_hold() -> None:
    for size in range(1, 41):
        prover = Prover(size, TILES.get)
        assert prover.root() == ROOT_OF[size]
        for index in range(size):
            proof = prover.inclusion(index)
            assert verify_inclusion(leaf=LEAVES[index], index=index, size=size, proof=proof, root=ROOT_OF[size])
        for old in range(size + 1):
            assert prover.root(old) == ROOT_OF[old]
            proof = prover.consistency(old)
            assert verify_consistency(old=old, new=size, proof=proof, old_root=ROOT_OF[old], new_root=ROOT_OF[size])


@pytest.mark.parametrize("size", BIG_SIZES)
def test_proofs_hold_on_both_sides_of_full_tiles(size: int, big: HashTiles, big_roots: dict[int, bytes]) -> None:
    prover = Prover(size, big.get)
    assert prover.root() == big_roots[size]
    for index in {0, 1, 127, 128, 253, 255, 256, 257, size // 2, size - 257, size - 256, size - 2, size - 1}:
        if 0 <= index < size:
            proof = prover.inclusion(index)
            leaf = big.levels[0][index]
            assert verify_inclusion(leaf=leaf, index=index, size=size, proof=proof, root=big_roots[size])
    for old in (old for old in BIG_SIZES if old <= size):
        proof = prover.consistency(old)
        assert verify_consistency(old=old, new=size, proof=proof, old_root=big_roots[old], new_root=big_roots[size])


@pytest.mark.parametrize(
    ("old", "new", "old_root", "new_root", "proof", "holds"),
    [
        (0, 0, EMPTY_ROOT, EMPTY_ROOT, [], True),
        (0, 5, EMPTY_ROOT, ROOT_OF[5], [], True),
        (5, 5, ROOT_OF[5], ROOT_OF[5], [], True),
        (0, 0, ROOT_OF[1], ROOT_OF[1], [], False),
        (0, 5, ROOT_OF[1], ROOT_OF[5], [], False),
        (0, 5, EMPTY_ROOT, ROOT_OF[5], [LEAVES[0]], False),
        (5, 5, ROOT_OF[5], ROOT_OF[4], [], False),
        (5, 5, ROOT_OF[5], ROOT_OF[5], [LEAVES[0]], False),
        (4, 5, ROOT_OF[4], ROOT_OF[5], [], False),
        (5, 4, ROOT_OF[5], ROOT_OF[4], [], False),
        (-1, 4, ROOT_OF[5], ROOT_OF[4], [], False),
        (4, 5, ROOT_OF[4], ROOT_OF[5][:31], [LEAVES[4]], False),
    ],
)
def test_consistency_at_the_edges(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes], holds: bool
) -> None:
    assert verify_consistency(old=old, new=new, proof=proof, old_root=old_root, new_root=new_root) is holds


@pytest.mark.parametrize("index", [-1, 5, 6])
def test_no_proof_exists_outside_the_tree(index: int) -> None:
    prover = Prover(5, TILES.get)
    with pytest.raises(ValueError, match="outside a log of 5"):
        prover.inclusion(index)
    assert not verify_inclusion(leaf=LEAVES[0], index=index, size=5, proof=[], root=ROOT_OF[5])


@pytest.mark.parametrize("old", [-1, 6])
def test_no_consistency_proof_exists_for_a_size_the_tree_never_had(old: int) -> None:
    with pytest.raises(ValueError, match="outside a log of 5"):
        Prover(5, TILES.get).consistency(old)
    with pytest.raises(ValueError, match="outside a log of 5"):
        Prover(5, TILES.get).root(old)


def test_a_proof_made_from_a_false_tile_does_not_hold() -> None:
    # Sizes at which a known implementation used hashes out of tiles that it had not authenticated.
    for size in (775, 1_000):
        leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(size)]
        honest, root = HashTiles(leaves), rfc_root(leaves)
        for level in range(len(honest.levels)):
            false = HashTiles(leaves)
            false.levels[level] = [leaf_hash(hash_) for hash_ in false.levels[level]]
            proof = Prover(size, false.get).inclusion(300)
            assert not verify_inclusion(leaf=leaves[300], index=300, size=size, proof=proof, root=root)


def test_the_full_tile_stands_in_for_a_partial_one_that_is_gone() -> None:
    def only_full_tiles(path: str) -> bytes:
        if path.startswith("tile/0/000.p/"):
            raise KeyError(path)
        return TILES.get(path)

    proof = Prover(200, only_full_tiles).inclusion(7)
    assert verify_inclusion(leaf=LEAVES[7], index=7, size=200, proof=proof, root=ROOT_OF[200])
