from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LIGHT = ("decode", "face", "crop", "quality", "registry", "engines")
HEAVY = ("insightface", "dlib", "_dlib_pybind11", "onnxruntime", "onnx", "matplotlib", "cv2", "skimage", "django")


def test_importing_the_library_loads_no_model_library_and_no_django() -> None:
    names = ", ".join(f"core.faces.{name}" for name in LIGHT)
    script = f"import {names}, sys; core.faces.registry.available(); print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_library_names_neither_searches_nor_the_log_nor_django() -> None:
    for path in [*(ROOT / "core" / "faces").rglob("*.py"), *(ROOT / "core" / "portraits").rglob("*.py")]:
        lines = path.read_text("utf-8").splitlines()
        imports = [line.split()[1] for line in lines if line.strip().startswith(("import ", "from "))]
        assert not [name for name in imports if name.split(".")[0] in ("django", "search", "audit")], path
