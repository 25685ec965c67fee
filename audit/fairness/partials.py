"""What one chunk of a comparison found: counts and few pairs, small enough to be stored as an .npz file."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.fairness.scores import ComparisonError, Histogram


@dataclass(frozen=True)
class ErrorPairs:
    """Exact false matches and misses of a chunk at one threshold."""

    pairs: npt.NDArray[np.int32]  # (m, 2) people, the lower number first, with at least one false match
    errors: npt.NDArray[np.int32]  # (m,)
    missed: npt.NDArray[np.int32]  # (q, 2) person, genuine pairs below the threshold
    near: int  # pairs whose integer score is within 1 of the threshold


@dataclass(frozen=True)
class Kept:
    """Pairs of images kept with their exact integer scores: the highest impostor or the lowest genuine ones."""

    scores: npt.NDArray[np.int32]
    images: npt.NDArray[np.int64]  # (n, 2) places in the order of comparison


@dataclass(frozen=True)
class Partial:
    """What one chunk found; `comparisons.merge` adds them up."""

    plan: str  # digest
    chunk: int
    margin: int  # float32 scores are within this many millionths of the exact ones
    impostor: dict[tuple[int, int], Histogram]  # (a, b) with a <= b
    genuine: dict[int, Histogram]
    highest: Kept  # impostor pairs
    lowest: Kept  # genuine pairs
    at: dict[int, ErrorPairs]

    def to_bytes(self) -> bytes:
        """As an .npz file."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "head": np.array([self.plan, str(self.chunk), str(self.margin)]),
            "highest_scores": self.highest.scores,
            "highest_images": self.highest.images,
            "lowest_scores": self.lowest.scores,
            "lowest_images": self.lowest.images,
            "thresholds": np.array(list(self.at), np.int64),
        }
        for kind, histograms in (
            ("impostor", sorted(self.impostor.items())),
            ("genuine", sorted(((key, key), histogram) for key, histogram in self.genuine.items())),
        ):
            arrays[f"{kind}_keys"] = np.array(
                [(a, b, h.first, len(h.counts)) for (a, b), h in histograms], np.int64
            ).reshape(-1, 4)
            arrays[f"{kind}_counts"] = np.concatenate([np.empty(0, np.int64), *(h.counts for _, h in histograms)])
        for number, found in enumerate(self.at.values()):
            arrays[f"pairs_{number}"], arrays[f"errors_{number}"] = found.pairs, found.errors
            arrays[f"missed_{number}"], arrays[f"near_{number}"] = found.missed, np.array(found.near)
        out = io.BytesIO()
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Partial:
        """ComparisonError when these are not the bytes of a partial: the chunk has to be done again."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            histograms: dict[str, dict[tuple[int, int], Histogram]] = {}
            for kind in ("impostor", "genuine"):
                keys, counts, start = arrays[f"{kind}_keys"], arrays[f"{kind}_counts"], 0
                histograms[kind] = {}
                for a, b, first, length in keys.tolist():
                    histograms[kind][a, b] = Histogram(first, counts[start : start + length])
                    start += length
            return cls(
                str(arrays["head"][0]),
                int(arrays["head"][1]),
                int(arrays["head"][2]),
                histograms["impostor"],
                {a: histogram for (a, _), histogram in histograms["genuine"].items()},
                Kept(arrays["highest_scores"], arrays["highest_images"]),
                Kept(arrays["lowest_scores"], arrays["lowest_images"]),
                {
                    threshold: ErrorPairs(
                        arrays[f"pairs_{number}"],
                        arrays[f"errors_{number}"],
                        arrays[f"missed_{number}"],
                        int(arrays[f"near_{number}"]),
                    )
                    for number, threshold in enumerate(arrays["thresholds"].tolist())
                },
            )
        except (KeyError, ValueError, OSError, EOFError, IndexError, zipfile.BadZipFile) as error:
            raise ComparisonError("The result of a chunk cannot be read. Compare it again.") from error
