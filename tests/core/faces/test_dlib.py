from __future__ import annotations

import threading

import pytest

from core.faces.engines import Engine, UnusableModel
from core.faces.engines import dlib as adapter
from tests.core.faces.conftest import drawn


def test_another_thread_gets_a_sentence_instead_of_a_crash(dlib_engine: Engine) -> None:
    caught: list[UnusableModel] = []

    def work() -> None:
        try:
            dlib_engine.detect(drawn(0, 0))
        except UnusableModel as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [error.code for error in caught] == ["other_thread"]


def test_only_the_two_permissive_files_are_used(dlib_engine: Engine) -> None:
    assert set(dlib_engine.identity().files) == {
        "shape_predictor_5_face_landmarks.dat",
        "dlib_face_recognition_resnet_model_v1.dat",
    }
    assert dlib_engine.identity().licence_status == "permissive"


def test_a_changed_model_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(adapter.FILES, "shape_predictor_5_face_landmarks.dat", "0" * 64)
    with pytest.raises(UnusableModel, match="not the file"):
        adapter.DlibEngine()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnusableModel, match="face_recognition_models is not installed"):
        adapter.DlibEngine()
