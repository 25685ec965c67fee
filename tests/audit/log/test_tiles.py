"""Paths, layout and bundles of tlog-tiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.log.tiles import (
    ENTRIES,
    MalformedTile,
    Missing,
    Tile,
    decode_bundle,
    encode_bundle,
    fetch,
    fetch_hashes,
    parse_tile_path,
    paths_for,
    split_bundle,
    tile_path,
)

NOTHING: dict[str, bytes] = {}
PATHS = [
    (Tile(0, 0), "tile/0/000"),
    (Tile(0, 1), "tile/0/001"),
    (Tile(0, 999), "tile/0/999"),
    (Tile(0, 1000), "tile/0/x001/000"),
    (Tile(0, 1234), "tile/0/x001/234"),
    (Tile(1, 1_234_067), "tile/1/x001/x234/067"),
    (Tile(2, 0, 1), "tile/2/000.p/1"),
    (Tile(63, 273, 255), "tile/63/273.p/255"),
    (Tile(ENTRIES, 1_234_067), "tile/entries/x001/x234/067"),
    (Tile(ENTRIES, 5, 112), "tile/entries/005.p/112"),
]


@pytest.mark.parametrize(("tile", "path"), PATHS)
def test_a_tile_has_one_path_and_the_path_names_the_tile(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_tile_path(path) == tile


@given(
    st.one_of(st.integers(0, 63), st.just(ENTRIES)),
    st.one_of(st.integers(0, 2_000_000), st.integers(0, 2**55)),
    st.integers(1, 256),
)
def test_every_path_is_read_back(level: int, n: int, width: int) -> None:
    assert parse_tile_path(tile_path(level, n, width)) == Tile(level, n, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/1000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/0/x000/001",
        "tile/0/001/234",
        "tile/0/x001",
        "tile/0/x001/x234",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/1000",
        "tile/0/000\n",
        "tile/0/٠٠١",
        "tile/0/../000",
        "tile/0/000%2e",
        "tile/0/" + "x001/" * 12 + "000",
    ],
)
def test_no_other_spelling_of_a_path_is_read(path: str) -> None:
    with pytest.raises(MalformedTile, match="is not the path of a tile"):
        parse_tile_path(path)


@pytest.mark.parametrize(("level", "n", "width"), [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_no_path_is_written_for_a_tile_that_cannot_be(level: int, n: int, width: int) -> None:
    with pytest.raises(MalformedTile, match="there is no tile"):
        tile_path(level, n, width)


def test_a_log_of_70000_entries_has_the_tiles_of_the_specification() -> None:
    tiles = list(paths_for(70_000))
    hashes = [tile for tile in tiles if tile.level != ENTRIES]
    assert len(hashes) == 277
    assert len(tiles) - len(hashes) == 274
    for level, full, partial in ((0, 273, "tile/0/273.p/112"), (1, 1, "tile/1/001.p/17"), (2, 0, "tile/2/000.p/1")):
        mine = [tile for tile in hashes if tile.level == level]
        assert [tile.n for tile in mine] == list(range(full + 1))
        assert {tile.width for tile in mine[:-1]} <= {256}
        assert mine[-1].path == partial
    assert [tile.path for tile in tiles if tile.level == ENTRIES][-1] == "tile/entries/273.p/112"


@pytest.mark.parametrize(
    ("size", "paths"),
    [
        (0, []),
        (1, ["tile/entries/000.p/1", "tile/0/000.p/1"]),
        (255, ["tile/entries/000.p/255", "tile/0/000.p/255"]),
        (256, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]),
        (257, ["tile/entries/000", "tile/entries/001.p/1", "tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]),
    ],
)
def test_small_logs_have_no_empty_tiles(size: int, paths: list[str]) -> None:
    assert [tile.path for tile in paths_for(size)] == paths


def test_65536_entries_fill_two_levels() -> None:
    paths = [tile.path for tile in paths_for(65_536)]
    assert paths[-3:] == ["tile/0/255", "tile/1/000", "tile/2/000.p/1"]


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_gives_back_its_entries(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


def test_lengths_are_big_endian_and_may_use_both_bytes() -> None:
    assert encode_bundle([b"ab", b""]) == b"\x00\x02ab\x00\x00"
    longest = bytes(65_535)
    assert decode_bundle(encode_bundle([longest]), 1) == [longest]


def test_what_does_not_fit_a_bundle_is_refused() -> None:
    with pytest.raises(MalformedTile, match="65536 bytes is too long"):
        encode_bundle([bytes(65_536)])
    with pytest.raises(MalformedTile, match="257 entries are too many"):
        encode_bundle([b""] * 257)


@pytest.mark.parametrize(
    ("data", "width", "fault"),
    [
        (b"", 1, "holds 0 entries instead of 1"),
        (b"\x00\x01a", 2, "holds 1 entries instead of 2"),
        (b"\x00\x01a\x00\x00", 1, "holds 2 entries instead of 1"),
        (b"\x00", 1, "breaks off inside its entry number 0"),
        (b"\x00\x02a", 1, "breaks off inside its entry number 0"),
        (b"\x00\x01a\x00", 1, "breaks off inside its entry number 1"),
    ],
)
def test_a_bundle_that_does_not_hold_its_entries_is_refused(data: bytes, width: int, fault: str) -> None:
    with pytest.raises(MalformedTile, match=fault):
        decode_bundle(data, width)


def test_a_damaged_bundle_still_shows_its_whole_entries() -> None:
    assert split_bundle(b"\x00\x01a\x00\x05bc") == ([b"a"], 4)


def test_the_full_tile_is_cut_where_the_partial_one_is_gone() -> None:
    full = bytes(range(256)) * 32
    assert fetch(lambda path: {"tile/0/000": full}[path], Tile(0, 0, 3)) == (full, 256)
    assert fetch_hashes(lambda path: {"tile/0/000": full}[path], Tile(0, 0, 3)) == full[:96]


def test_a_tile_in_neither_form_is_missing() -> None:
    with pytest.raises(Missing, match=r"tile/0/000\.p/3 is missing"):
        fetch_hashes(NOTHING.__getitem__, Tile(0, 0, 3))


@pytest.mark.parametrize("length", [0, 95, 97, 128])
def test_a_hash_tile_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(MalformedTile, match=f"holds {length} bytes instead of 96"):
        fetch_hashes(lambda path: bytes(length), Tile(0, 0, 3))
