from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from core.faces import registry
from core.faces.engines import Engine, UnusableModel, file_sha256


@pytest.fixture
def models(tiny_pack: Path, tmp_path: Path) -> Path:
    """A directory of models: `agency` describes itself, `buffalo_l` is known by its name, `plain` by nothing."""
    for name in ("agency", "buffalo_l", "plain", "Not A Name", "dlib"):
        shutil.copytree(tiny_pack, tmp_path / name)
    (tmp_path / "empty").mkdir()
    agency = tmp_path / "agency"
    lines = [f'"{path.name}" = "{file_sha256(path)}"' for path in sorted(agency.glob("*.onnx"))]
    described = ['licence = "Trained by the agency"', 'licence_status = "permissive"', "[files]", *lines]
    (agency / "model.toml").write_text("\n".join(described))
    return tmp_path


def test_dlib_is_always_there_and_the_rest_is_what_the_directory_holds(models: Path) -> None:
    assert [record.name for record in registry.available()] == ["dlib"]
    records = {record.name: record for record in registry.available(models) if record.directory is not None}
    assert set(records) == {"agency", "buffalo_l", "plain", "Not A Name", "dlib"}
    assert records["agency"].licence == "Trained by the agency"
    assert records["agency"].licence_status == "permissive"
    assert set(records["agency"].files or {}) == {"det.onnx", "rec.onnx"}
    assert records["buffalo_l"].licence_status == "non-commercial"
    assert records["plain"].licence_status == "unknown"
    assert records["plain"].problem is None
    assert "cannot name a model" in (records["Not A Name"].problem or "")
    assert "cannot name a model" in (records["dlib"].problem or "")


def test_a_model_is_loaded_once_per_thread(models: Path) -> None:
    first = registry.engine("agency", models)
    assert registry.engine("agency", models) is first
    assert first.identity().licence == "Trained by the agency"
    others: list[Engine] = []
    thread = threading.Thread(target=lambda: others.append(registry.engine("agency", models)))
    thread.start()
    thread.join()
    assert others[0] is not first
    assert others[0].identity().hash == first.identity().hash


def test_a_forked_child_does_not_use_its_parents_engine(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = registry.engine("agency", models)
    monkeypatch.setattr(registry.os, "getpid", lambda: -1)
    assert registry.engine("agency", models) is not first


def test_a_file_that_is_not_the_described_one_is_refused(models: Path, tiny_pack: Path) -> None:
    (models / "agency" / "rec.onnx").write_bytes((tiny_pack / "det.onnx").read_bytes())
    with pytest.raises(UnusableModel, match="not the file that was approved"):
        registry.engine("agency", models)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("licence = ", "model.toml"),
        ('licence_status = "free"', "licence_status is"),
        ('[files]\n"rec.onnx" = "123"', "64 lower-case hex"),
        ('weights = "here"', "unknown key 'weights'"),
    ],
)
def test_a_wrong_description_is_a_problem_of_that_model_alone(models: Path, text: str, complaint: str) -> None:
    (models / "plain" / "model.toml").write_text(text)
    records = {record.name: record for record in registry.available(models)}
    assert complaint in (records["plain"].problem or "")
    assert records["agency"].problem is None
    with pytest.raises(UnusableModel, match="plain"):
        registry.engine("plain", models)


def test_an_unknown_model_is_refused_with_the_names_of_those_there_are(models: Path) -> None:
    with pytest.raises(UnusableModel, match="agency"):
        registry.engine("nobody", models)


def test_a_models_directory_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnusableModel, match="absolute path"):
        registry.available(Path("relative"))
