"""Engines are loaded once; portraits are drawn once and kept in memory."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.faces.engines import Engine, load
from core.portraits import portrait
from tests.core.faces import tiny_models

Rgb = NDArray[np.uint8]


@lru_cache(maxsize=64)
def drawn(identity: int, photo: int) -> Rgb:
    return portrait(identity, photo)


@pytest.fixture(scope="session")
def dlib_engine() -> Engine:
    return load("dlib")


@pytest.fixture(scope="session")
def insightface_engine(real_faces: Path) -> Engine:
    return load("insightface", real_faces / "insightface" / "models" / "scrfd_mbf")


@pytest.fixture(params=["dlib", "insightface"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Both adapters, one after the other; insightface's needs the model pack in GLASSCASE_FACES."""
    loaded: Engine = request.getfixturevalue(f"{request.param}_engine")
    return loaded


@pytest.fixture(scope="session")
def tiny_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.pack(tmp_path_factory.mktemp("models") / "tiny")
