"""Small sets in the published layouts, written for tests. Photos are a few bytes each unless `photo` draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

GROUPS: Final = ("African", "Asian", "Caucasian", "Indian")
Photo = Callable[[str], bytes]


def some_bytes(name: str) -> bytes:
    return f"photo {name}".encode()


def put(folder: Path, files: Iterable[str], photo: Photo = some_bytes) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(photo(file))


def pair_lines(people: list[str], folds: int, each: int) -> list[str]:
    """Lines of a pair list: in every fold `each` pairs of one person and as many of two; two photos a person."""
    lines = []
    for fold in range(folds):
        mine = [people[(fold * each + index) % len(people)] for index in range(each)]
        lines += [f"{person}\t1\t2" for person in mine]
        others = [people[(people.index(person) + 1) % len(people)] for person in mine]
        lines += [f"{person}\t1\t{other}\t2" for person, other in zip(mine, others, strict=True)]
    return lines


def lfw(folder: Path, people: int = 6, folds: int = 3, each: int = 2, photo: Photo = some_bytes) -> Path:
    """lfw/name/name_0001.jpg and pairs.txt, as they are unpacked from what was published."""
    names = [f"Ann_{chr(65 + index)}" for index in range(people)]
    put(folder / "lfw", (f"{name}/{name}_{number:04}.jpg" for name in names for number in (1, 2)), photo)
    lines = [f"{folds}\t{each}", *pair_lines(names, folds, each)]
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def rfw(folder: Path, people: int = 4, folds: int = 1, each: int = 4, photo: Photo = some_bytes) -> Path:
    """data/Group/id/id_0001.jpg and txts/Group/Group_pairs.txt, without the line that LFW starts with."""
    for number, group in enumerate(GROUPS):
        ids = [f"m.0{number}{index}" for index in range(people)]
        put(folder / "data" / group, (f"{one}/{one}_{photo_:04}.jpg" for one in ids for photo_ in (1, 2)), photo)
        place = folder / "txts" / group
        place.mkdir(parents=True)
        (place / f"{group}_pairs.txt").write_text("\n".join(pair_lines(ids, folds, each)) + "\n", encoding="utf-8")
    return folder


def bfw(folder: Path, people: int = 3, photo: Photo = some_bytes) -> Path:
    """bfw-datatable.csv and photos as group/person/photo.jpg; the scores are made up."""
    lines = ["fold,p1,p2,label,id1,id2,att1,att2,vgg16,senet50,a1,a2,g1,g2,e1,e2"]
    for number, (group, tag) in enumerate((("asian_females", "AF"), ("white_males", "WM"))):
        ids = [number * people + index for index in range(people)]
        files = {one: [f"{group}/n{one:06}/{shot:04}_01.jpg" for shot in (1, 2)] for one in ids}
        put(folder, (file for both in files.values() for file in both), photo)
        same = f"{group},{group},0.5,0.{{score}},{tag},{tag},{tag[1]},{tag[1]},{tag[0]},{tag[0]}"
        for one in ids:
            other = ids[(ids.index(one) + 1) % people]
            fold = one % 2 + 1
            lines.append(f"{fold},{files[one][0]},{files[one][1]},1,{one},{one},{same.format(score=800 + one)}")
            lines.append(f"{fold},{files[one][0]},{files[other][1]},0,{one},{other},{same.format(score=100 + one)}")
    (folder / "bfw-datatable.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def demogpairs(folder: Path) -> Path:
    """DemogPairs/person/photo.jpg and a list of them for each group below Metadata."""
    (folder / "Metadata").mkdir(parents=True)
    for number, group in enumerate(("Asian_Females", "Black_Males", "White_Females")):
        files = [f"p{number}{index}/{shot:02}.jpg" for index in range(3) for shot in (1, 2)]
        put(folder / "DemogPairs", files)
        (folder / "Metadata" / f"{group}.txt").write_text("\n".join(files) + "\n", encoding="utf-8")
    return folder


def fairface(folder: Path) -> Path:
    put(folder, (f"val/{number}.jpg" for number in range(1, 5)))
    rows = ["3-9,Male,East Asian,False", "50-59,Female,Black,True", "more than 70,Male,Black,False", ",,,False"]
    lines = [f"val/{number}.jpg,{row}" for number, row in enumerate(rows, start=1)]
    path = folder / "fairface_label_val.csv"
    path.write_text("\n".join(["file,age,gender,race,service_test", *lines]) + "\n", encoding="utf-8")
    return path


def morph(folder: Path) -> Path:
    put(folder, (f"Album2/{name}.JPG" for name in ("009055_0M54", "009055_1M55", "013002_0F35", "020111_0M20")))
    path = folder / "morph_2008_nonCommercial.csv"
    path.write_text(
        "id_num,picture_num,dob,doa,race,gender,facial_hair,age,age_diff,glasses,photo\n"
        "009055,0,09/24/1951,10/07/2005,B,M,,54,0,NULL,Album2/009055_0M54.JPG\n"
        "009055,1,09/24/1951,03/14/2007,B,M,,55,1,NULL,Album2/009055_1M55.JPG\n"
        "013002,0,,01/02/2005,W,F,,35,0,NULL,Album2/013002_0F35.JPG\n"
        "020111,0,,,W,M,,20,0,NULL,Album2/020111_0M20.JPG\n",
        encoding="utf-8",
    )
    return path
