"""Which face models this installation has, and one loaded engine per process and thread."""

from __future__ import annotations

import importlib.util
import os
import re
import threading
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.faces.engines import Engine, LicenceStatus, UnusableModel, load

DEFAULT = "dlib"
DESCRIPTION = "model.toml"

# InsightFace's own packs, by the names under which they are handed around.
_RESEARCH_PACKS = re.compile(r"^(buffalo_(l|m|s|sc)|antelopev2|raccoon_[a-z]+)$")
_RESEARCH_LICENCE = "A pack of InsightFace: non-commercial research only, unless its makers gave you another licence."
_NAME = re.compile(r"^[a-z0-9][a-z0-9_.-]{0,79}$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class ModelRecord:
    """One face model that could be loaded; reading it loads nothing.

    files: expected SHA-256 by file name, None where the description names none. problem: a sentence that says why
    this model cannot be used, or None.
    """

    name: str
    engine: str
    directory: Path | None
    licence: str
    licence_status: LicenceStatus
    files: Mapping[str, str] | None = field(default=None)
    problem: str | None = None


def available(models_dir: Path | None = None) -> list[ModelRecord]:
    """The embedded model "dlib" and one model per folder with ONNX files in `models_dir`, by name.

    A folder may describe itself in a `model.toml`: licence (text), licence_status ("permissive", "non-commercial",
    "unknown") and a table [files] of file name = SHA-256, which loading then insists on.
    """
    records = [_dlib()]
    if models_dir is not None:
        if not models_dir.is_absolute() or not models_dir.is_dir():
            raise UnusableModel("no_directory", f"{models_dir} is not an existing directory with an absolute path.")
        folders = sorted(path for path in models_dir.iterdir() if path.is_dir() and any(path.glob("*.onnx")))
        records += [_insightface(folder) for folder in folders]
    return records


def record(name: str, models_dir: Path | None = None) -> ModelRecord:
    """The record of one model. Raises UnusableModel naming those there are."""
    records = available(models_dir)
    for each in records:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in records)
    raise UnusableModel("unknown_model", f"There is no face model {name!r} here; there are: {names}.")


def engine(name: str = DEFAULT, models_dir: Path | None = None) -> Engine:
    """The loaded engine of a model, the same object each time within one thread of one process.

    dlib's objects must not cross threads and no library's survive a fork for certain, so neither does an engine:
    another thread or a forked child loads its own. Raises UnusableModel.
    """
    if getattr(_loaded, "process", None) != os.getpid():
        _loaded.process, _loaded.engines = os.getpid(), {}
    engines: dict[tuple[str, Path | None], Engine] = _loaded.engines
    key = (name, models_dir)
    if key not in engines:
        wanted = record(name, models_dir)
        if wanted.problem is not None:
            raise UnusableModel("unusable", wanted.problem)
        engines[key] = load(
            wanted.engine,
            wanted.directory,
            files=wanted.files,
            licence=wanted.licence,
            licence_status=wanted.licence_status,
        )
    return engines[key]


_loaded = threading.local()


def _dlib() -> ModelRecord:
    missing = [name for name in ("dlib", "face_recognition_models") if importlib.util.find_spec(name) is None]
    problem = f"The package {missing[0]} is not installed." if missing else None
    licence = "Library: Boost Software License 1.0; model files: public domain (CC0 1.0)."
    return ModelRecord("dlib", "dlib", None, licence, "permissive", problem=problem)


def _insightface(folder: Path) -> ModelRecord:
    name = folder.name
    licence: str = ""
    status: LicenceStatus = "unknown"
    files: Mapping[str, str] | None = None
    problem: str | None = None
    if _RESEARCH_PACKS.match(name):
        licence, status = _RESEARCH_LICENCE, "non-commercial"
    if not _NAME.match(name) or name == DEFAULT:
        problem = f"The folder name {name!r} cannot name a model: use lower-case letters, digits, '_', '.', '-'."
    description = folder / DESCRIPTION
    if description.exists():
        try:
            licence, status, files = _description(tomllib.loads(description.read_text("utf-8")), licence, status)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError) as error:
            problem = f"{name}/{DESCRIPTION}: {error}."
    return ModelRecord(name, "insightface", folder, licence, status, files, problem)


def _description(
    values: dict[str, Any], licence: str, status: LicenceStatus
) -> tuple[str, LicenceStatus, Mapping[str, str] | None]:
    if unknown := sorted(set(values) - {"licence", "licence_status", "files"}):
        raise ValueError(f"unknown key {unknown[0]!r}")
    licence = values.get("licence", licence)
    given = values.get("licence_status", status)
    if given not in ("permissive", "non-commercial", "unknown"):
        raise ValueError("licence_status is 'permissive', 'non-commercial' or 'unknown'")
    files = values.get("files")
    if files is not None and not all(isinstance(v, str) and _SHA256.match(v) for v in files.values()):
        raise ValueError("[files] gives for each file name its SHA-256 as 64 lower-case hex digits")
    return str(licence), given, files
