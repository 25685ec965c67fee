from __future__ import annotations

import dataclasses

import pytest

from core.faces.engines import ModelIdentity, UnusableModel, load

BASE = ModelIdentity(
    engine="insightface",
    name="buffalo_l",
    dimension=512,
    files={"det.onnx": "1" * 64, "rec.onnx": "2" * 64},
    detector="SCRFD",
    alignment="five points",
    parameters={"border": 40},
    licence="research",
    licence_status="non-commercial",
    versions={"onnxruntime": "1.2"},
)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another name"},
        {"licence": "bought"},
        {"licence_status": "permissive"},
        {"versions": {"onnxruntime": "1.3"}},
        {"files": {"renamed.onnx": "2" * 64, "det.onnx": "1" * 64}},
    ],
)
def test_what_moves_no_score_changes_no_identity(change: dict[str, object]) -> None:
    assert dataclasses.replace(BASE, **change).hash == BASE.hash  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "dlib"},
        {"dimension": 128},
        {"files": {"det.onnx": "1" * 64, "rec.onnx": "3" * 64}},
        {"detector": "other"},
        {"alignment": "other"},
        {"parameters": {"border": 0}},
        {"score_rule": "minus the distance"},
    ],
)
def test_what_can_move_a_score_changes_the_identity(change: dict[str, object]) -> None:
    assert dataclasses.replace(BASE, **change).hash != BASE.hash  # type: ignore[arg-type]


def test_the_hash_is_the_same_on_every_machine() -> None:
    assert BASE.hash == "4165f957b26f02aa06f4b83f964e1a1f113b6c9876fb8852d7d5ee5b7b9f378d"


def test_an_unknown_engine_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(UnusableModel, match="'dlib' and 'insightface'"):
        load("facenet")
