"""The re-run bundle: it gives every number again, says which one was changed, and names nobody."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audit.fairness import bundle, reproduce
from audit.fairness.evidence import Parameters
from audit.fairness.pairs import PairEvidence, conclude_pairs, gather_pairs
from audit.fairness.report import Provenance
from audit.fairness.run import write
from audit.fairness.sets.scores import read_scores
from tests.audit.fairness.test_report import embeddings_file, make


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return make(folder / "out", embeddings_file(folder)).path.parent


def changed(data: bytes, member: str, before: bytes, after: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == member:
                assert before in content
                content = content.replace(before, after, 1)
            target.writestr(name, content)
    return out.getvalue()


def test_every_number_of_the_record_follows_from_the_bundle_without_django(written: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from audit.fairness import reproduce; status = reproduce.main(sys.argv[1:]);"
         " assert not {'django', 'psycopg', 'celery'} & set(sys.modules); sys.exit(status)",
         str(written / "rerun.zip"), "--report", str(written / "report.json"), "--out", str(written / "again.json")],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("OK numbers=")
    assert int(done.stdout.split("numbers=")[1].split()[0]) > 500
    again, record = json.loads((written / "again.json").read_text()), json.loads((written / "report.json").read_text())
    assert again["divisions"][0]["cohorts"][0]["fmr"] == record["divisions"][0]["cohorts"][0]["fmr"]


def test_a_number_that_was_made_nicer_is_named(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (written / "rerun.zip").read_bytes()
    record = json.loads((written / "report.json").read_text())
    errors = record["divisions"][0]["cohorts"][0]["fmr"]["errors"]
    assert errors
    record["divisions"][0]["cohorts"][0]["fmr"]["errors"] = errors - 1
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            target.writestr(name, json.dumps(record) if name == bundle.RECORD else source.read(name))
    nicer = tmp_path / "nicer.zip"
    nicer.write_bytes(out.getvalue())
    assert reproduce.main([str(nicer)]) == 1
    assert "divisions[0].cohorts[0].fmr.errors" in capsys.readouterr().out


def test_a_bundle_of_another_report_or_none_at_all_is_refused(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert reproduce.main([str(written / "rerun.zip"), "--report", str(other)]) == 1
    assert "another record" in capsys.readouterr().out
    for data in (
        b"",
        b"no zip",
        changed((written / "rerun.zip").read_bytes(), "evidence.json", b'"format"', b'"form"'),
    ):
        broken = tmp_path / "broken.zip"
        broken.write_bytes(data)
        assert reproduce.main([str(broken)]) == 1
        assert capsys.readouterr().out.startswith("FAIL: ")
    assert reproduce.main([str(tmp_path / "nothing.zip")]) == 1


def test_nobody_is_named_in_it(written: Path) -> None:
    with zipfile.ZipFile(written / "rerun.zip") as archive:
        described = json.loads(archive.read("evidence.json"))
        people = described["reporting"]["people"]
        assert people == [f"p{n}" for n in range(len(people))], "numbers in order, not the ids of the set"
        assert len(people) == 60
        assert not any(b"person_id" in archive.read(name) for name in archive.namelist())


def test_what_is_packed_is_unpacked(written: Path) -> None:
    data = (written / "rerun.zip").read_bytes()
    evidence, parameters, record, raw = bundle.unpack(io.BytesIO(data))
    assert raw == (written / "report.json").read_bytes()
    assert record == json.loads(raw)
    assert bundle.pack(evidence, parameters, raw) == data


def test_the_program_is_one_file_that_needs_only_python_and_numpy(written: Path, tmp_path: Path) -> None:
    from audit import evaluator_file

    program = tmp_path / evaluator_file.NAME
    evaluator_file.FILE.write(program)
    command = [sys.executable, "-I", str(program), str(written / "rerun.zip"), "--report", str(written / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("OK numbers=")


PEOPLE = 40


@pytest.fixture(scope="module")
def of_scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on a table of scores in two folds' worth of cohorts, whose people have ids that are easy to find."""
    folder = tmp_path_factory.mktemp("scores")
    rng = np.random.default_rng(11)
    lines = ["score,same,cohort_a,cohort_b,id_a,id_b"]
    for _ in range(5000):
        a, b = rng.integers(0, PEOPLE, 2)
        value = rng.normal(0.6 if a == b else 0.2, 0.15)
        lines.append(f"{np.clip(value, -1, 1):.6f},{int(a == b)},{'fm'[a % 2]},{'fm'[b % 2]},Jane Doe {a},Jane Doe {b}")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pairs, samples = read_scores(folder / "scores.csv", folder / "kept")
    parameters = Parameters(axes=("cohort",), target_fmr=0.05, minimum_people=5)
    evidence = gather_pairs(pairs, parameters)
    result = conclude_pairs(evidence, parameters)
    provenance = Provenance({"name": "A black box", "hash": "0" * 64})
    write(samples, result, folder / "out", provenance, evidence=evidence, started=0.0)
    return folder / "out"


def test_every_number_of_given_pairs_follows_from_their_bundle(
    of_scores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(of_scores / "rerun.zip"), "--report", str(of_scores / "report.json")]
    assert reproduce.main(command) == 0
    said = capsys.readouterr().out
    assert said.startswith("OK numbers=")
    assert int(said.split("numbers=")[1].split()[0]) > 100
    data = (of_scores / "rerun.zip").read_bytes()
    evidence, parameters, _, record = bundle.unpack(io.BytesIO(data))
    assert bundle.pack(evidence, parameters, record) == data
    assert b"Jane" not in b"".join(
        zipfile.ZipFile(io.BytesIO(data)).read(name) for name in zipfile.ZipFile(io.BytesIO(data)).namelist()
    )


def test_a_score_or_a_half_that_was_changed_is_noticed(
    of_scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence, parameters, _, record = bundle.unpack(io.BytesIO((of_scores / "rerun.zip").read_bytes()))
    assert isinstance(evidence, PairEvidence)
    lower = evidence.table.copy()
    # Every false match of the half that is reported on becomes none.
    lower["score"][(lower["same"] == 0) & ~evidence.choosing[lower["a"]]] -= 500_000
    for changed_evidence in (replace(evidence, table=lower), replace(evidence, choosing=~evidence.choosing)):
        (tmp_path / "changed.zip").write_bytes(bundle.pack(changed_evidence, parameters, record))
        assert reproduce.main([str(tmp_path / "changed.zip")]) == 1
        assert " in the record and " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("member", "before", "after"),
    [
        ("evidence.json", b'"pairs": 5000', b'"pairs": 5001'),
        ("evidence.json", b'"photos": [0, 0', b'"photos": [0'),
        ("evidence.json", b'"choosing": [', b'"choosing": [9999, '),
        ("arrays/score.npy", b"(5000,)", b"(4999,)"),
        ("arrays/a.npy", b"NUMPY", b"NUMPX"),
    ],
)
def test_a_damaged_bundle_of_pairs_is_a_sentence(
    of_scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], member: str, before: bytes, after: bytes
) -> None:
    (tmp_path / "broken.zip").write_bytes(changed((of_scores / "rerun.zip").read_bytes(), member, before, after))
    assert reproduce.main([str(tmp_path / "broken.zip")]) == 1
    assert capsys.readouterr().out.startswith("FAIL: This is no whole re-run bundle")
