"""The size and shape that every Python file of the project keeps.

What the linter can hold it holds; here is what it has no rule for.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = ("zae_limiter", "integrations", "tests", "benchmarks", "example_apps", "docs")
MOST_LINES_A_FILE: Final = 400
MOST_LINES_A_FUNCTION: Final = 50
NAMES_THAT_SAY_NOTHING: Final = frozenset({"base", "common", "helper", "helpers", "misc", "util", "utils"})
ENDINGS_THAT_SAY_NOTHING: Final = ("Helper", "Manager", "Util", "Utils")
# What users already write is what it is called.
NAMES_THAT_USERS_KNOW: Final = frozenset({"StackManager", "SyncStackManager"})


def python_files() -> list[Path]:
    """Every Python file of the project, as a path below its root."""
    found = (path for source in SOURCES for path in (ROOT / source).rglob("*.py"))
    return sorted(path.relative_to(ROOT) for path in found if "_build" not in path.parts)


def too_long_functions(tree: ast.Module) -> Iterator[str]:
    """The functions of a module that are too long, decorators and docstring included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            lines = (node.end_lineno or first) - first + 1
            if lines >= MOST_LINES_A_FUNCTION:
                yield f"line {first}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", python_files(), ids=str)
def test_a_file_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    tree = ast.parse(text)

    assert len(text.splitlines()) < MOST_LINES_A_FILE
    assert list(too_long_functions(tree)) == []
    assert ast.get_docstring(tree), "a module opens with what it is for and what it leaves to others"


@pytest.mark.parametrize("path", python_files(), ids=str)
def test_a_name_says_what_is_in_it(path: Path) -> None:
    assert not NAMES_THAT_SAY_NOTHING & {path.stem, *path.parent.parts}
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    assert [name for name in classes - NAMES_THAT_USERS_KNOW if name.endswith(ENDINGS_THAT_SAY_NOTHING)] == []


def test_every_package_that_is_shipped_is_typed() -> None:
    packages = [ROOT / "zae_limiter", *(ROOT / "integrations").glob("zae_limiter_*")]

    assert len(packages) > 1
    assert [package.name for package in packages if not (package / "py.typed").is_file()] == []


def test_a_function_that_is_too_long_is_found() -> None:
    body = "\n".join(f"    x{number} = {number}" for number in range(MOST_LINES_A_FUNCTION - 1))

    assert list(too_long_functions(ast.parse(f"def long():\n{body}\n"))) == ["line 1: long has 50 lines"]
