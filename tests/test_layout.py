"""The shape of the tree: file and function sizes, names, folders, and what the gateway may load."""

from __future__ import annotations

import ast
import importlib.util
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "src" / "voxfleet"
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "base"}
REPEATED_NAMES = {"__init__.py", "conftest.py"}
#: file -> why it may be longer
LONG_FILES: dict[str, str] = {}

#: what a process of the gateway must never load: seconds of start-up and hundreds of megabytes
HEAVY = ("torch", "transformers", "ray", "funasr", "av", "onnxruntime", "numpy")
#: what `voxfleet --help` must not wait for
SLOW_TO_IMPORT = (*HEAVY, "pydantic", "fastapi", "rich")


def python_files(*folders: str) -> list[Path]:
    return sorted(
        path for folder in folders for path in (REPOSITORY / folder).rglob("*.py") if path.is_file()
    )


ALL_FILES = python_files("src", "tests", "bench", "scripts")


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Every function's name and length, decorators left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{relative(path)}: {node.name}", node.end_lineno - node.lineno + 1


def test_no_file_is_too_long() -> None:
    long = {relative(path): line_count(path) for path in ALL_FILES}
    long = {name: lines for name, lines in long.items() if lines > MAX_FILE_LINES}
    assert set(long) == set(LONG_FILES), long


def test_file_names_are_unique() -> None:
    counts = Counter(path.name for path in ALL_FILES if path.name not in REPEATED_NAMES)
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("root", [PACKAGE, REPOSITORY / "tests"], ids=["src", "tests"])
def test_there_is_one_level_of_folders(root: Path) -> None:
    deep = [path for path in root.rglob("*.py") if len(path.relative_to(root).parts) > 2]
    assert deep == []


def test_names_say_what_is_inside() -> None:
    vague = [path for path in ALL_FILES if VAGUE_NAMES & {path.stem, path.parent.name}]
    assert vague == []


def test_top_modules_shadow_nothing_of_python() -> None:
    names = {path.stem for path in PACKAGE.iterdir()}
    assert names & set(sys.stdlib_module_names) == set()


def test_package_files_are_empty() -> None:
    assert [path for path in ALL_FILES if path.name == "__init__.py" and path.stat().st_size] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        relative(path)
        for path in ALL_FILES
        if path.name != "__init__.py"
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_no_function_is_too_long() -> None:
    long = [
        (name, lines)
        for path in ALL_FILES
        for name, lines in functions(path)
        if lines > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_functions_are_short() -> None:
    lengths = [lines for path in python_files("src") for _, lines in functions(path)]
    assert statistics.median(lengths) <= 10
    assert statistics.quantiles(lengths, n=10)[-1] <= 30


def loaded_after_importing(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(answer.stdout.split())


@pytest.mark.parametrize(
    "module", ["voxfleet.assemble", "voxfleet.gateway.http_app", "voxfleet.transcribe.pipeline"]
)
def test_the_gateway_loads_nothing_heavy(module: str) -> None:
    assert importlib.util.find_spec(module), f"{module} has gone: name its successor here"
    assert loaded_after_importing(module) & set(HEAVY) == set()


def test_the_command_line_starts_light() -> None:
    assert loaded_after_importing("voxfleet.cli") & set(SLOW_TO_IMPORT) == set()
