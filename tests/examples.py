"""Runs the Python examples of a page in their order, in one namespace and one event loop.

A block may await at its top level; a block in `<!-- invisible-code: python ... -->` runs unseen.
What the examples keep under /var/lib/app is kept in a folder of the test's own, and what they ask of a DynamoDB has
a minute for its answer: a second is much for a server, and little for a busy machine that also is the server.
"""

import ast
import asyncio
import contextlib
import inspect
import re
import sys
import types
from pathlib import Path
from typing import Any, Final

from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser

ROOT: Final = Path(__file__).parents[1]
FOLDER_OF_THE_EXAMPLES: Final = "/var/lib/app"
_PATIENT: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"((?:Repository|connect)\(\"my-app\", \"eu-central-1\")\)", r"\1, timeout=60.0)"),
        (r"(Repository\.builder\(\"my-app\", \"eu-central-1\"\))", r"\1.timeout(60.0)"),
        (r"(RateLimiter\(repository=repo)\)", r"\1, timeout=60.0)"),
        (r"(SyncRateLimiter\(repository=SyncRepository\([^()]*\))\)", r"\1, timeout=60.0)"),
        (r"(open_limiter\(\"dynamodb://[^\"]*\")\)", r"\1, timeout=60.0)"),
    )
)


def pages() -> list[Path]:
    """The pages whose examples are run, below the root of the project."""
    found = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "example_apps").rglob("README.md")]
    return sorted(page.relative_to(ROOT) for page in found if "_build" not in page.parts)


def run_page(page: Path, folder: Path) -> int:
    """Run the examples of a page and tell how many there were."""
    module = types.ModuleType(f"examples_of_{page.stem.replace('-', '_')}")
    ran = 0
    with asyncio.Runner() as runner:

        def evaluate(example: Example) -> None:
            nonlocal ran
            ran += 1
            _evaluate(example, module.__dict__, folder, runner)

        sys.modules[module.__name__] = module
        try:
            for example in Document.parse(str(page), CodeBlockParser("python", evaluate)):
                example.evaluate()
        except BaseException:
            # A connection that stayed open would be told of as a fault of the test that runs next.
            _close_what_is_open(module.__dict__, runner)
            raise
        finally:
            del sys.modules[module.__name__]
            module.__dict__.clear()
    return ran


def patient(source: str) -> str:
    """An example whose repositories and limiters on DynamoDB have a minute for each call."""
    for pattern, replacement in _PATIENT:
        source = pattern.sub(replacement, source)
    return source


def _close_what_is_open(namespace: dict[str, Any], runner: asyncio.Runner) -> None:
    for value in list(namespace.values()):
        close = getattr(value, "close", None)
        if isinstance(value, type) or not inspect.ismethod(close) or inspect.signature(close).parameters:
            continue
        with contextlib.suppress(Exception):
            found = close()
            if inspect.iscoroutine(found):
                runner.run(found)


def _evaluate(example: Example, namespace: dict[str, Any], folder: Path, runner: asyncio.Runner) -> None:
    source = str(example.parsed).replace(FOLDER_OF_THE_EXAMPLES, folder.as_posix())
    source = patient(source)
    first = example.line + example.parsed.line_offset
    code = compile(
        "\n" * first + source,
        example.path,
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    if code.co_flags & inspect.CO_COROUTINE:
        runner.run(eval(code, namespace))
    else:
        exec(code, namespace)


def commands(page: Path, command: str) -> set[str]:
    """The words that follow a command where a page shows it: as code in the text, or after a prompt."""
    text = page.read_text(encoding="utf-8")
    return set(re.findall(rf"(?:`|^\$ ){command} ([\w-]+)", text, re.MULTILINE))
