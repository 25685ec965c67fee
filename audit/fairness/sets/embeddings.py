"""Embeddings that somebody else computed, in an .npz file."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from audit.fairness.cohorts import label_in
from audit.fairness.scores import Floats
from audit.fairness.sets.labels import one_label_per_person
from audit.fairness.sets.photos import MAX_PERSON_ID
from audit.fairness.sets.rows import DatasetError, LeftOut
from audit.fairness.sets.samples import Samples

MAX_DIMENSION = 4096


def read_embeddings(path: Path) -> Samples:
    """Read an .npz file: `embeddings` (n, d) floats, `person_id` (n,), every other array of n texts or integers a
    cohort column. Rows whose embedding is zero or not a number are failures to extract; repeated rows are left out.

    DatasetError when the arrays are missing, do not fit together or hold Python objects.
    """
    vectors, people, raw = _read_arrays(path)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    extracted = np.isfinite(norms) & (norms > 0)
    failures, left_out, keep = [], [], []
    seen: dict[bytes, int] = {}
    for index, person in enumerate(people):
        row = index + 1
        if not person or len(person) > MAX_PERSON_ID or not person.isprintable():
            left_out.append(LeftOut(row, person, "no_person", f"Row {row}: it has no usable person id."))
            continue
        if extracted[index]:
            first = seen.setdefault(hashlib.blake2b(vectors[index].tobytes(), digest_size=16).digest(), index)
            if first != index:
                same = people[first] == person
                whose = "" if same else f", where it is of {people[first]}"
                code = "duplicate" if same else "two_people"
                left_out.append(
                    LeftOut(row, person, code, f"Row {row}: the same embedding as in row {first + 1}{whose}.")
                )
                continue
        else:
            what = "zero" if norms[index] == 0 else "not a number"
            failures.append(
                LeftOut(row, person, "no_embedding", f"Row {row}: its embedding is {what}: a failure to extract.")
            )
        keep.append(index)
    if not extracted[keep].any():
        raise DatasetError(f"{path.name} holds no usable embedding.")
    chosen = [people[index] for index in keep]
    labels, notes = one_label_per_person(
        chosen, {column: [label_in(column, values[index]) for index in keep] for column, values in raw.items()}
    )
    vectors[~extracted] = 0
    everything = len(keep) == len(people)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Samples(
        path.stem,
        chosen,
        labels,
        vectors if everything else vectors[keep],
        extracted if everything else extracted[keep],
        digest,
        tuple(left_out),
        tuple(failures),
        notes,
    )


def _read_arrays(path: Path) -> tuple[Floats, list[str], dict[str, list[str]]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise DatasetError(f"{path.name} is not an .npz file that can be read.") from error
    except (ValueError, TypeError) as error:  # object arrays; a plain .npy, which is no archive
        raise DatasetError(
            f"{path.name} holds something else than plain arrays. Embeddings of different lengths cannot be compared: "
            "save one table of floats per face model."
        ) from error
    for name in ("embeddings", "person_id"):
        if name not in arrays:
            raise DatasetError(f'{path.name} has no array "{name}". Its arrays: {", ".join(sorted(arrays)) or "none"}.')
    vectors = arrays.pop("embeddings")
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not vectors.size or vectors.shape[1] > MAX_DIMENSION:
        raise DatasetError(
            f'"embeddings" must be a table of floats with one row per photo and at most {MAX_DIMENSION} columns; it '
            f"has the shape {vectors.shape} and the type {vectors.dtype}."
        )
    count = len(vectors)
    texts: dict[str, list[str]] = {}
    for name, array in sorted(arrays.items()):
        if array.shape != (count,) or array.dtype.kind not in "USiub":
            raise DatasetError(f'"{name}" must hold one text or integer for each of the {count} embeddings.')
        values = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
        texts[name] = [str(value).strip() for value in values.tolist()]
    with np.errstate(over="ignore"):
        return vectors.astype(np.float32, copy=False), texts.pop("person_id"), texts
