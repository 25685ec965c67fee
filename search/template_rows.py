"""Templates as PostgreSQL takes them in bulk: rows of binary COPY, and the digest under which a batch of them is sealed.

Everything is an array of bytes, a row for each template: ids (n, 16) uint8, vectors (n, 2d) uint8 as big-endian float16;
marks (n,) int64 are the bits of the sub-galleries that each belongs to.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.uint8]

COPY: Final = "COPY gallery.template (edition, batch, template, person, embedding, marks) FROM STDIN (FORMAT BINARY)"
HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TAIL: Final = b"\xff\xff"
_ID: Final = 16


def ids(of: Iterable[uuid.UUID]) -> Rows:
    """Ids as rows of their sixteen bytes."""
    return np.frombuffer(b"".join(one.bytes for one in of), np.uint8).reshape(-1, _ID)


def binary(edition: int, batch: int, templates: Rows, people: Rows, halves: Rows, marks: NDArray[np.int64]) -> bytes:
    """The rows for COPY, between HEAD and TAIL: six fields each, every one after its length in bytes."""
    width = halves.shape[1]
    layout = np.dtype(
        [
            ("fields", ">i2"),
            *[("edition_bytes", ">i4"), ("edition", ">i4")],
            *[("batch_bytes", ">i4"), ("batch", ">i4")],
            *[("template_bytes", ">i4"), ("template", np.uint8, _ID)],
            *[("person_bytes", ">i4"), ("person", np.uint8, _ID)],
            *[("vector_bytes", ">i4"), ("vector", np.uint8, width + 4)],
            *[("marks_bytes", ">i4"), ("marks", ">i8")],
        ]
    )
    rows = np.empty(len(templates), layout)
    rows["fields"] = 6
    rows["marks_bytes"], rows["marks"] = 8, marks
    rows["edition_bytes"] = rows["batch_bytes"] = 4
    rows["template_bytes"] = rows["person_bytes"] = _ID
    rows["vector_bytes"] = width + 4
    rows["edition"], rows["batch"] = edition, batch
    rows["template"], rows["person"] = templates, people
    rows["vector"] = _vectors(halves)
    return rows.tobytes()


def digest(templates: Rows, people: Rows, halves: Rows, marks: NDArray[np.int64]) -> bytes:
    """As `gallery.seal` computes it: SHA-256 over the rows' digests in the order of the templates; marks count where set."""
    rows = np.concatenate(
        [templates, people, _vectors(halves), marks.astype(">i8").view(np.uint8).reshape(-1, 8)], axis=1
    )
    unmarked = rows.shape[1] - 8
    each = [
        hashlib.sha256(row if marked else row[:unmarked]).digest()
        for row, marked in zip(each_row(rows), marks.tolist(), strict=True)
    ]
    high, low = np.ascontiguousarray(templates).view(">u8").T
    return hashlib.sha256(b"".join([each[place] for place in np.lexsort((low, high)).tolist()])).digest()


def each_row(rows: Rows) -> Iterator[memoryview]:
    """The bytes of each row."""
    width, whole = rows.shape[1], np.ascontiguousarray(rows).reshape(-1).data
    return (whole[start : start + width] for start in range(0, len(whole), width))


def _vectors(halves: Rows) -> Rows:
    """halfvec's binary form: the dimension, two bytes that are zero, the numbers."""
    count, width = halves.shape
    head = np.array([width // 2, 0], ">u2").view(np.uint8)
    return np.concatenate([np.broadcast_to(head, (count, 4)), halves], axis=1)
