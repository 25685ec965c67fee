"""The published layouts that can be read, with the licence and citation that their makers state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from audit.fairness.sets.bfw import read_bfw
from audit.fairness.sets.demogpairs import read_demogpairs
from audit.fairness.sets.fairface import read_fairface
from audit.fairness.sets.folders import read_folders
from audit.fairness.sets.lfw import read_lfw
from audit.fairness.sets.listing import Listing
from audit.fairness.sets.manifest import REQUIRED, rows_of
from audit.fairness.sets.morph import read_morph
from audit.fairness.sets.rfw import read_rfw
from audit.fairness.sets.rows import DatasetError, read_table


@dataclass(frozen=True)
class Layout:
    """One layout. `licence`, `citation` and `label_source` are what holds for the published set; empty: to be stated."""

    code: str
    title: str
    read: Callable[[Path], Listing]
    licence: str = ""
    citation: str = ""
    label_source: str = ""


def read_manifest_listing(path: Path) -> Listing:
    """A manifest with all of its cohort columns."""
    if not path.is_file():
        raise DatasetError(f"There is no manifest at {path}. Name a CSV file with the columns person_id,file.")
    table = read_table(path, REQUIRED)
    columns = tuple(name for name in table.columns if name and name not in REQUIRED)
    return Listing(path.parent, tuple(rows_of(table, columns)), columns)


_RESEARCH: Final = "Non-commercial research only"
LAYOUTS: Final[Mapping[str, Layout]] = MappingProxyType(
    {
        one.code: one
        for one in (
            Layout("manifest", "A manifest: CSV with person_id, file and cohort columns", read_manifest_listing),
            Layout("folders", "A folder per person", read_folders),
            Layout(
                "lfw",
                "Labeled Faces in the Wild",
                read_lfw,
                "Published for research; the photos are other people's, and their rights are not cleared",
                "Huang, Ramesh, Berg, Learned-Miller: Labeled Faces in the Wild. UMass Amherst 07-49, 2007",
                "not stated",
            ),
            Layout(
                "rfw",
                "Racial Faces in the Wild",
                read_rfw,
                _RESEARCH,
                "Wang, Deng, Hu, Tao, Huang: Racial Faces in the Wild. ICCV 2019 (arXiv 1812.00194)",
                "assigned",
            ),
            Layout(
                "bfw",
                "Balanced Faces in the Wild",
                read_bfw,
                "Research and education only",
                "Robinson, Livitz, Henon, Qin, Fu, Timoner: Face Recognition: Too Bias, or Not Too Bias? CVPRW 2020",
                "assigned",
            ),
            Layout(
                "demogpairs",
                "DemogPairs",
                read_demogpairs,
                _RESEARCH,
                "Hupont, Fernández: DemogPairs: Quantifying the Impact of Demographic Imbalance. FG 2019",
                "assigned",
            ),
            Layout(
                "fairface",
                "FairFace: attributes without identities",
                read_fairface,
                "CC BY 4.0",
                "Kärkkäinen, Joo: FairFace: Face Attribute Dataset for Balanced Race, Gender, and Age. WACV 2021",
                "assigned",
            ),
            Layout(
                "morph",
                "MORPH",
                read_morph,
                "By licence from its makers; the academic edition is for non-commercial research only",
                "Ricanek, Tesafaye: MORPH: A Longitudinal Image Database of Normal Adult Age-Progression. FGR 2006",
                "official record",
            ),
        )
    }
)
