"""Templates that somebody else computed, in an .npz file: read and checked row by row before anything is written.

The layout is that of evaluations (`audit.fairness.sets.embeddings`): `embeddings` (n, d) floats, `person_id` (n,), and
every other array of n texts or integers an attribute. One of them, `photo`, may say which photo a template is of.
"""

from __future__ import annotations

import hashlib
import hmac
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.exceptions import Invalid
from search.manifest import LONGEST_FILE, LONGEST_PERSON, LONGEST_VALUE, MAX_COLUMNS, PERSON, LeftOut, shown
from search.template_rows import Rows, each_row

EMBEDDINGS: Final = "embeddings"
PHOTO: Final = "photo"
MOST_ROWS: Final = 1_000_000
"""Two gigabytes of float32 at 512 dimensions: all of it is in memory while it is checked."""
LENGTH_TOLERANCE: Final = 0.01  # as the database checks it (search/gate/sql/030_gallery.sql)


@dataclass(frozen=True, eq=False)
class TemplateFile:
    """A file as it was read.

    `kept` (m,) are the indexes of the rows that can be imported, in the order of the file, `halves` (m, 2d) uint8 their
    vectors as big-endian float16, `people` and `attributes` belong to the same rows.
    """

    path: Path
    sha256: str
    rows: int
    dimension: int
    kept: NDArray[np.int64]
    halves: Rows
    people: list[str]
    attributes: list[dict[str, str]]
    left_out: list[LeftOut] = field(default_factory=list)

    def of_people(self, chosen: Collection[str]) -> TemplateFile:
        """Only the rows about these people, as if the file had no others."""
        places = np.array([place for place, person in enumerate(self.people) if person in chosen], np.int64)
        left_out = [one for one in self.left_out if one.person_ref in chosen]
        return replace(
            self,
            rows=len(places) + len(left_out),
            kept=self.kept[places],
            halves=self.halves[places],
            people=[self.people[place] for place in places.tolist()],
            attributes=[self.attributes[place] for place in places.tolist()],
            left_out=left_out,
        )


def read(path: Path, dimension: int) -> TemplateFile:
    """Read a file of templates of `dimension` numbers. Raises Invalid (field embeddings) when it is no such file."""
    vectors, texts, digest = _arrays(path, dimension)
    halves, lengths = _halves(vectors)
    people = texts.pop(PERSON)
    files = texts.get(PHOTO, [""] * len(vectors))
    keys = [hashlib.blake2b(row, digest_size=16).digest() for row in each_row(halves)]
    left_out: list[LeftOut] = []
    kept: list[int] = []
    first: dict[bytes, int] = {}
    columns = list(texts.items())
    # Most rows have nothing wrong with them: what is wrong is put into words for those that have.
    good_lengths = (np.abs(lengths - 1) < LENGTH_TOLERANCE).tolist()
    for index, (person, file) in enumerate(zip(people, files, strict=True)):
        wrong = _words(person, [(name, values[index]) for name, values in columns])
        if not wrong and not good_lengths[index]:
            wrong = _length(float(lengths[index]))
        if not wrong:
            earlier = first.setdefault(keys[index], index)
            if earlier != index:
                wrong = _repeated(person, people[earlier], earlier)
        if wrong:
            reason, sentence = wrong
            left_out.append(
                LeftOut(index + 1, shown(person, LONGEST_PERSON), shown(file, LONGEST_FILE), reason, sentence)
            )
        else:
            kept.append(index)
    chosen = np.array(kept, np.int64)
    return TemplateFile(
        path=path.resolve(),
        sha256=digest,
        rows=len(vectors),
        dimension=dimension,
        kept=chosen,
        halves=halves if len(kept) == len(vectors) else halves[chosen],
        people=[people[index] for index in kept],
        attributes=[{name: values[index] for name, values in columns if values[index]} for index in kept],
        left_out=left_out,
    )


def keyed(halves: Rows, key: bytes) -> list[str]:
    """By what a template is known again, for each row: hex digits that say nothing without the key."""
    return [hmac.digest(key, row, "sha256").hex() for row in each_row(halves)]


def _halves(vectors: NDArray[Any]) -> tuple[Rows, NDArray[np.float64]]:
    """What the database will hold (big-endian float16, as bytes), and its length: what it checks is what is stored."""
    count, dimension = vectors.shape
    halves = np.empty((count, dimension), ">f2")
    lengths = np.empty(count, np.float64)
    # In blocks, so that no second copy of all exists in between.
    for start in range(0, count, 65_536):
        block = slice(start, start + 65_536)
        with np.errstate(over="ignore", invalid="ignore"):
            half = vectors[block].astype(np.float16)
            exact = half.astype(np.float32)
            lengths[block] = np.sqrt(np.einsum("ij,ij->i", exact, exact, dtype=np.float64))
        halves[block] = half
    return halves.view(np.uint8).reshape(count, 2 * dimension), lengths


def _words(person: str, attributes: list[tuple[str, str]]) -> tuple[str, str] | None:
    if not person or len(person) > LONGEST_PERSON or not person.isprintable():
        return "bad_row", f"The person_id is missing, longer than {LONGEST_PERSON} characters, or cannot be shown."
    for name, value in attributes:
        if value and (len(value) > LONGEST_VALUE or not value.isprintable()):
            return "bad_row", f"The value of {name} is longer than {LONGEST_VALUE} characters, or cannot be shown."
    return None


def _length(length: float) -> tuple[str, str]:
    if not np.isfinite(length):
        return "not_a_number", "The embedding holds something that is not a number, or is too large for half precision."
    if length == 0:
        return "no_embedding", "The embedding is zero: nothing was computed for this photo."
    return "not_unit_length", f"The embedding has the length {length:.4g}, not 1. Divide it by its length."


def _repeated(person: str, earlier_person: str, earlier: int) -> tuple[str, str]:
    if person == earlier_person:
        return "duplicate", f"Row {earlier + 1} holds the same embedding."
    return "two_people", f"Row {earlier + 1} holds the same embedding for somebody else."


# What reading raises for files that are cut off, encrypted, packed by a method that Python has not, or that announce more than there is.
_DAMAGED: Final = (
    OSError,
    EOFError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def _arrays(path: Path, dimension: int) -> tuple[NDArray[Any], dict[str, list[str]], str]:
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
    except _DAMAGED as problem:
        raise _invalid(f"{path.name} is not an .npz file that can be read.") from problem
    except (ValueError, TypeError, AttributeError) as problem:  # object arrays; a plain .npy, which is no archive
        raise _invalid(f"{path.name} holds something else than plain arrays. Save one table of floats.") from problem
    for name in (EMBEDDINGS, PERSON):
        if name not in arrays:
            there = ", ".join(sorted(arrays)) or "none"
            raise _invalid(f'{path.name} has no array "{name}". Its arrays: {there}.')
    vectors = arrays.pop(EMBEDDINGS)
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not len(vectors):
        raise _invalid(
            f'"{EMBEDDINGS}" must be a table of floats with one row per template; it has the shape {vectors.shape} and '
            f"the type {vectors.dtype}."
        )
    if vectors.shape[1] != dimension:
        raise _invalid(f"The embeddings have {vectors.shape[1]} numbers; this face model's have {dimension}.")
    count = len(vectors)
    if count > MOST_ROWS:
        raise _invalid(f"The file has {count:,} rows; at most {MOST_ROWS:,} are imported at once. Split it.")
    if len(arrays) > MAX_COLUMNS:
        raise _invalid(f"The file has more than {MAX_COLUMNS} arrays beside the embeddings.")
    texts: dict[str, list[str]] = {}
    for name, array in arrays.items():
        if array.shape != (count,) or array.dtype.kind not in "USiub":
            raise _invalid(f'"{name}" must hold one text or integer for each of the {count} embeddings.')
        if not name.isprintable() or len(name) > LONGEST_VALUE:
            raise _invalid("The name of an array is too long or cannot be shown.")
        values = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
        texts[name] = [str(value).strip() for value in values.tolist()]
    return vectors, texts, digest


def _invalid(sentence: str) -> Invalid:
    return Invalid(sentence, {EMBEDDINGS: [sentence]})
