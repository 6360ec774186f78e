"""The docs tell the truth: examples run, commands exist, and what users meet is described.

How a page's examples are run is in `tests/examples.py`.
"""

import gc
import importlib
import inspect
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.examples import ROOT, commands, pages, patient, run_page
from tests.packages import PACKAGES
from zae_limiter import environment, exceptions
from zae_limiter.cli import cli
from zae_limiter_http import Rule
from zae_limiter_http.settings import ProxySettings, Settings
from zae_limiter_http.words import SettingWords

REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_example_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if page.name == "dynamodb.md":
        request.getfixturevalue("dynamodb_endpoint")
    monkeypatch.chdir(tmp_path)
    try:
        run_page(ROOT / page, tmp_path)
    except exceptions.MissingExtraError as missing:
        pytest.skip(f"{page} needs the extra {missing.extra}")
    gc.collect()


def test_an_example_that_fails_is_found_in_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nx = 1\nassert x == 2\n```\n", encoding="utf-8")

    with pytest.raises(AssertionError) as failure:
        run_page(page, tmp_path)
    assert (failure.traceback[-1].path, failure.traceback[-1].lineno + 1) == (page, 5)


def test_what_an_example_that_fails_has_opened_is_closed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- invisible-code: python\nfrom pathlib import Path\n"
        "class Opened:\n    async def close(self):\n        Path('closed').touch()\n-->\n"
        "```python\nrepo = Opened()\nassert False\n```\n".replace("'closed'", repr(str(tmp_path / "closed"))),
        encoding="utf-8",
    )

    with pytest.raises(AssertionError):
        run_page(page, tmp_path)
    assert (tmp_path / "closed").exists()


def test_examples_on_dynamodb_have_a_minute_for_each_call() -> None:
    text = (ROOT / "docs" / "guide" / "dynamodb.md").read_text(encoding="utf-8")
    lines = patient(text).splitlines()
    opens = [line for line in lines if re.search(r"Repository(\.\w+)?\(\"|open_limiter\(|connect\(\"", line)]

    assert len(opens) > 4
    assert [line for line in opens if "timeout" not in line] == []


def test_the_examples_of_a_page_share_names_and_may_await(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- invisible-code: python\nimport asyncio\n-->\n"
        "```python\nawait asyncio.sleep(0)\nloop = asyncio.get_running_loop()\n```\n"
        "```python\nassert loop is asyncio.get_running_loop()\nawait asyncio.sleep(0)\n"
        'open("/var/lib/app/x", "w").close()\n```\n'
        "```text\nnot python\n```\n",
        encoding="utf-8",
    )

    assert run_page(page, tmp_path) == 3
    assert (tmp_path / "x").exists()


@pytest.mark.parametrize("page", [*pages(), Path("CONTRIBUTING.md")], ids=str)
def test_a_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    named = {word for word in commands(ROOT / page, "make") if re.fullmatch("[a-z]+", word)}
    assert {"demo", "test", "check", "bench", "mutants"} <= targets
    assert named - targets == set()


@pytest.mark.parametrize("page", [*pages(), Path("CONTRIBUTING.md"), Path("CHANGELOG.md")], ids=str)
def test_prose_has_one_sentence_a_line(page: Path) -> None:
    prose = re.sub(
        r"^```.*?^```|<!--.*?-->", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    lines = [re.sub("`[^`]*`", "x", line) for line in prose.splitlines() if not line.startswith("|")]

    assert [line for line in lines if re.search(r"[a-z)\]][.!?] [A-Zx*\[]", line)] == []


FRAMEWORKS = [
    page
    for page in sorted((ROOT / "docs" / "frameworks").glob("*.md"))
    if page.stem != "adapter" and not page.stem.startswith("from-")
]
HEADINGS = [
    "Install",
    "First limit",
    "Keys",
    "Limits by plan",
    "Costs known later",
    "Streaming",
    "Errors and headers",
    "Behind a proxy",
    "Testing your app",
    "What it costs",
    "Pitfalls",
]


@pytest.mark.parametrize("page", FRAMEWORKS, ids=lambda page: page.stem)
def test_the_page_of_a_framework_has_the_headings_of_all(page: Path) -> None:
    assert re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("name", ["django", "fastapi", "flask", "litestar", "quart", "starlette"])
def test_what_a_framework_s_page_tells_is_shown_by_an_example(name: str) -> None:
    text = (ROOT / "docs" / "frameworks" / f"{name}.md").read_text(encoding="utf-8")
    parts = dict(zip(HEADINGS, re.split(r"^## .*$", text, flags=re.MULTILINE)[1:], strict=True))
    without = {heading for heading, part in parts.items() if "```python" not in part}
    assert without <= {"Install", "What it costs", "Pitfalls"}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_a_path_that_is_named_outside_the_docs_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    paths = re.findall(r"`((?:docs|tests|example_apps|integrations|zae_limiter|benchmarks|\.ci)/[\w./]*)`", text)

    assert [path for path in (*links, *paths) if not (ROOT / path).exists()] == []


def test_the_two_commands_are_in_the_readme() -> None:
    assert {"demo", "test"} <= commands(ROOT / "README.md", "make")


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_a_command_is_documented(command: str) -> None:
    assert command in commands(REFERENCE / "commands.md", "zae-limiter")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package: str) -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.md"))
    names: list[str] = importlib.import_module(package).__all__

    assert [name for name in names if not re.search(rf"\b{package}\.{name}\b", text)] == []


@pytest.mark.parametrize("model", [Settings, ProxySettings])
def test_every_setting_is_documented_with_its_default(model: type[BaseModel]) -> None:
    text = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | `{field.default!r}` | " for name, field in model.model_fields.items()]

    assert [row for row in rows if row not in text] == []


def test_every_environment_variable_is_documented() -> None:
    text = (REFERENCE / "environment.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {meaning} |" for name, meaning in environment._ROWS.items()]

    assert [row for row in rows if row not in text] == []


def test_type_checkers_know_every_setting() -> None:
    files = {"toml_file", "env_file"}
    assert set(SettingWords.__annotations__) - files == set(Settings.model_fields) - {"rules", "store", "limiter"}


def test_every_word_of_a_rule_is_documented() -> None:
    text = (REFERENCE / "http.md").read_text(encoding="utf-8")
    words = [name for name, word in inspect.signature(Rule).parameters.items() if word.kind is not word.VAR_KEYWORD]

    assert [word for word in words if f"\n| `{word}` | " not in text] == []


@pytest.mark.parametrize(
    "error",
    sorted(name for name, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, Exception)),
)
def test_an_error_is_documented(error: str) -> None:
    assert re.search(rf"\b{error}\b", (REFERENCE / "errors.md").read_text(encoding="utf-8"))
