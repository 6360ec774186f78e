"""What is shipped: the wheel in a clean environment, with nothing but what it declares to need.

It is filled with links to the declared dependencies that are installed here, so no network is asked.
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from tests.environments import environment, needed
from tests.packages import PACKAGES, PYPROJECT, ROOT

PROJECT: Final[dict[str, Any]] = PYPROJECT["project"]
NEEDED_BY_A_TOOL_THAT_BRINGS_IT: Final = frozenset(
    {"zae_limiter.pytest_plugin", "zae_limiter_django.ninja", "zae_limiter_django.throttling"}
)

IMPORT_EACH: Final = """
import importlib, json, sys
from zae_limiter.exceptions import MissingExtraError
outcomes = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        outcomes[name] = "imported"
    except MissingExtraError as missing:
        outcomes[name] = str(missing)
    except Exception as error:
        outcomes[name] = f"{type(error).__name__}: {error}"
print(json.dumps(outcomes))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as a release is."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def modules_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        files = [Path(name) for name in archive.namelist() if name.endswith(".py")]
    names = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files}
    return sorted(names - NEEDED_BY_A_TOOL_THAT_BRINGS_IT)


def installed(folder: Path, wheel: Path, distributions: set[str]) -> Path:
    """A clean environment with the wheel and these distributions; the path of its interpreter."""
    python = environment(folder, distributions)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    return python


def imported(python: Path, modules: list[str]) -> dict[str, str]:
    command = [str(python), "-I", "-W", "error", "-c", IMPORT_EACH, *modules]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    outcomes: dict[str, str] = json.loads(done.stdout)
    return outcomes


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}

    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_core_needs_neither_a_framework_nor_a_cloud(wheel: Path, tmp_path: Path) -> None:
    core = needed(PROJECT["dependencies"])
    python = installed(tmp_path / "core", wheel, core)
    outcomes = imported(python, modules_in(wheel))
    script = [str(python.with_name("zae-limiter")), "--version"]
    answer = subprocess.run(script, check=True, capture_output=True, text=True)

    assert {"click", "rich"} <= core
    assert not core & {"fastapi", "starlette", "pydantic", "boto3", "pytest"}
    assert outcomes["zae_limiter"] == "imported"
    refused = {name: outcome for name, outcome in outcomes.items() if outcome != "imported"}
    assert [outcome for outcome in refused.values() if "pip install 'zae-limiter[" not in outcome] == []
    assert answer.stdout.startswith("zae-limiter, version ")


def test_with_all_extras_every_module_imports(wheel: Path, tmp_path: Path) -> None:
    extras = PROJECT["optional-dependencies"]
    external = [text for extra in extras.values() for text in extra if not text.startswith("zae-limiter")]
    python = installed(tmp_path / "all", wheel, needed([*PROJECT["dependencies"], *external]))

    outcomes = imported(python, modules_in(wheel))
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "imported"} == {}
