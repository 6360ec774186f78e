"""Declared limits: planned, compared, applied, exported, and what a document may get wrong."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click
import pytest
import yaml
from click.testing import CliRunner

from tests.cli.conftest import Run, rows
from zae_limiter import RateLimiterUnavailable, SyncRateLimiter, open_sync_limiter
from zae_limiter.cli import cli
from zae_limiter.cli.limits import _apply_all, stored_settings
from zae_limiter.cli.manifest import differences, read_manifest
from zae_limiter.testing import sync_memory_limiter

DOCUMENT: dict[str, Any] = {
    "system": {"limits": ["rpm=60/minute"], "on_unavailable": "allow"},
    "resources": {
        "gpt-4": [
            "rpm=100/minute+150",
            {"name": "tpm", "rate": "90000/minute", "burst": 120_000, "unit": "tokens"},
            {"name": "jobs", "capacity": 5, "burst": 10, "refill_amount": 1, "refill_period_seconds": 60},
        ]
    },
    "entities": {"user-1": {"gpt-4": "rpm=500/minute", "_default_": ["rpm=5/minute"]}},
}


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "limits.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT), encoding="utf-8")
    return path


def test_a_plan_shows_what_apply_does_and_writes_nothing(run: Run, document: Path) -> None:
    shown = rows(run("limits", "plan", "-f", str(document)))

    assert [(row[0], row[1]) for row in shown] == [
        ("set", "system"),
        ("set", "resource"),
        ("set", "entity"),
        ("set", "entity"),
    ]
    assert run("resource", "list").stdout == ""


def test_what_was_applied_does_not_differ(run: Run, document: Path) -> None:
    applied = run("limits", "apply", "-f", str(document), "--yes")

    assert applied.stdout.endswith("changed 4 levels\n")
    assert run("limits", "diff", "-f", str(document), "--prune").stdout == "the store is as declared\n"
    assert run("limits", "apply", "-f", str(document)).stdout == "the store is as declared\n"
    assert [each["capacity"] for each in json.loads(run("entity", "get-limits", "user-1", "--json").stdout)] == [5]


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_what_is_exported_is_as_declared(run: Run, document: Path, tmp_path: Path, flag: list[str]) -> None:
    run("limits", "apply", "-f", str(document), "--yes")
    again = tmp_path / ("again.json" if flag else "again.yaml")
    again.write_text(run("limits", "export", *flag).stdout, encoding="utf-8")

    assert run("limits", "diff", "-f", str(again), "--prune").exit_code == 0


def test_a_drift_is_found_in_the_store_itself(run: Run, document: Path) -> None:
    run("limits", "apply", "-f", str(document), "--yes")
    run("resource", "set-defaults", "gpt-4", "-l", "rpm:1/minute")
    run("entity", "set-limits", "user-2", "-l", "rpm:1/minute")
    drift = run("limits", "diff", "-f", str(document), "--json")

    assert drift.exit_code == 3
    assert [(each["kind"], each["level"]) for each in json.loads(drift.stdout)] == [("change", "resource gpt-4")]


def test_what_is_not_declared_goes_only_when_asked_for(run: Run, document: Path, tmp_path: Path) -> None:
    run("limits", "apply", "-f", str(document), "--yes")
    nothing = tmp_path / "nothing.json"
    nothing.write_text("{}", encoding="utf-8")

    assert run("limits", "apply", "-f", str(nothing), "--yes").stdout == "the store is as declared\n"
    assert run("limits", "apply", "-f", str(nothing), "--prune", answer="n\n").exit_code == 1
    assert run("limits", "apply", "-f", str(nothing), "--prune", "--yes").stdout.endswith("changed 4 levels\n")
    assert run("limits", "export", "--json").stdout == "{}\n"


def test_an_interrupted_apply_goes_on(run: Run, document: Path) -> None:
    run("resource", "set-defaults", "gpt-4", "-l", "rpm:1/minute")
    run("system", "set-defaults", "-l", "rpm:60/minute", "--on-unavailable", "allow")

    assert run("limits", "apply", "-f", str(document), "--yes").stdout.endswith("changed 3 levels\n")


def test_a_system_without_a_word_for_outages_is_cleared(run: Run, tmp_path: Path) -> None:
    run("system", "set-defaults", "-l", "rpm:60/minute", "--on-unavailable", "allow")
    path = tmp_path / "limits.json"
    path.write_text('{"system": {"limits": "rpm=60/minute"}}', encoding="utf-8")

    assert run("limits", "apply", "-f", str(path), "--yes").stdout.endswith("changed 1 level\n")
    assert json.loads(run("system", "get-defaults", "--json").stdout)["on_unavailable"] is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[]", "manifest"),
        ("{", "manifest"),
        ("{sytem: {}}", "sytem"),
        ("{system: {limit: []}}", "system.limit"),
        ("{system: {on_unavailable: maybe}}", "system.on_unavailable"),
        ("{resources: {api: {}}}", "resources.api"),
        ("{resources: {api: [100/minute, 5/day, 7/fortnight]}}", "resources.api[2]"),
        ("{resources: {api: [100/minute, rpm=5/day]}}", "resources.api"),
        ("{resources: {api: [{name: rpm}]}}", "resources.api[0].rate"),
        ("{resources: {api: [{rate: 5/day, brust: 7}]}}", "resources.api[0].brust"),
        ("{resources: {api: [3]}}", "resources.api[0]"),
        ("{resources: {a#i: []}}", "resource"),
        ("{entities: {user-1: [5/day]}}", "entities.user-1"),
        ("{entities: {1: {}}}", "entities"),
        ("{entities: {u#1: {}}}", "entity_id"),
    ],
)
def test_a_mistake_is_told_with_its_place(run: Run, tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(text, encoding="utf-8")
    answer = run("limits", "apply", "-f", str(path), "--yes")

    assert answer.exit_code == 1
    assert answer.stderr.startswith(f"Error: {place}: ")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(("name", "content"), [("limits.json", b"{"), ("limits.yaml", b"\xff\xfe")])
def test_a_file_that_cannot_be_read_is_told(run: Run, tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert run("limits", "plan", "-f", str(path)).exit_code == 1


def written(tmp_path: Path, text: str, name: str = "limits.yaml") -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("system:\n  limits: [5/day]\n  limit: []\n", "line 3 of"),
        ("resources:\n  web: [5/day]\n  api:\n    - 5/day\n    - rpm:lots\n", "resources.api[1]: "),
        ("resources:\n  web: [5/day]\n  api:\n    - 5/day\n    - rpm:lots\n", "line 5 of"),
        ("resources:\n  api:\n    - {rate: 5/day}\n    - {name: x,\n       rate: 5}\n", "line 5 of"),
        ("resources:\n  web: [5/day]\n  9pi: [5/day]\n", "line 3 of"),
        ("entities:\n  u#1:\n    api: [5/day]\n", "line 2 of"),
        ("resources:\n  api: [5/day\n", "expected ',' or ']'"),
        ("resources:\n  api: [5/day]\n  web: [5/day]\n  api: [6/day]\n", "again on line 4 (got 'api')"),
    ],
)
def test_a_mistake_is_told_with_its_line(run: Run, tmp_path: Path, text: str, told: str) -> None:
    answer = run("limits", "plan", "-f", written(tmp_path, text))

    assert answer.exit_code == 1
    assert told in answer.stderr
    assert answer.stderr.count("\n") == 1


def bomb(opening: str, closing: str) -> str:
    """Text of a few hundred letters that unfolds to a thousand million values."""
    lines = [f"a0: &a0 {opening}x: 1{closing}" if opening == "{" else f"a0: &a0 {opening}1{closing}"]
    for level in range(1, 10):
        inside = ", ".join([f"*a{level - 1}"] * 10)
        content = f"{{<<: [{inside}]}}" if opening == "{" else f"[{inside}]"
        lines.append(f"a{level}: &a{level} {content}")
    return "\n".join(lines) + "\nresources: {api: [{name: rpm, rate: *a9}]}\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (bomb("[", "]"), "unfolds to more than 500,000 values"),
        (bomb("{", "}"), "unfolds to more than 500,000 values"),
        ("resources: &a {api: [*a]}\n", "an alias there holds itself"),
        ("resources: {api: !!python/object/apply:os.system ['true']}\n", "could not determine a constructor"),
        ("resources: {api: !secret x}\n", "could not determine a constructor for the tag"),
        ("[" * 5_000, "is nested too deeply"),
        ("resources: {api: 2026-99-99}\n", "has a value that cannot be read"),
        ("resources: {? [a, b] : [5/day]}\n", "is no YAML"),
        ("resources: {api: ['rpm=5/day\0']}\n", "is no YAML"),
        ("resources: {api: !!timestamp soon}\n", "has a value that cannot be read"),
        ("resources: {api: !!bool perhaps}\n", "has a value that cannot be read"),
        ("resources: {api: !!int ''}\n", "has a value that cannot be read"),
        (f"resources: {{api: {'1:' * 300}1.0}}\n", "has a value that cannot be read"),
        ("a: 1\n---\nb: 2\n", "but found another document"),
    ],
)
def test_a_document_written_to_mislead_or_to_overwhelm_is_refused(
    run: Run, tmp_path: Path, text: str, reason: str
) -> None:
    answer = run("limits", "apply", "--yes", "-f", written(tmp_path, text))

    assert answer.exit_code == 1, answer.exception
    assert reason in answer.stderr
    assert len(answer.stderr) < 500


def test_aliases_and_merged_tables_are_taken_as_meant(run: Run, tmp_path: Path) -> None:
    text = "resources:\n  api: &usual [rpm=7/minute]\n  web: *usual\n  gpt: [&l {name: x, rate: 5/day}]\n"
    run("limits", "apply", "--yes", "-f", written(tmp_path, text))

    assert rows(run("resource", "get-defaults", "web"))[0][:2] == ["rpm", "7"]


@pytest.mark.parametrize("text", ['{"resources": {"api": [], "api": []}}', "[" * 100_000])
def test_json_is_read_as_strictly(run: Run, tmp_path: Path, text: str) -> None:
    answer = run("limits", "plan", "-f", written(tmp_path, text, "limits.json"))

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: manifest: ")


def test_an_empty_document_declares_nothing(run: Run, tmp_path: Path) -> None:
    assert run("limits", "plan", "-f", written(tmp_path, "# nothing yet\n")).stdout == "the store is as declared\n"


@pytest.mark.parametrize(
    ("error", "prune"), [(RateLimiterUnavailable("the table is throttled"), False), (KeyboardInterrupt(), True)]
)
def test_an_apply_that_ends_half_way_says_what_is_done_and_what_to_do(
    document: Path, error: BaseException, prune: bool
) -> None:
    with sync_memory_limiter() as limiter:
        shaky = cast(SyncRateLimiter, Shaky(limiter, error))
        declared = read_manifest(DOCUMENT)
        with pytest.raises(click.ClickException) as told:
            _apply_all(shaky, differences(declared, {}, prune=False), "ops", document, prune=prune)
        rest = differences(declared, stored_settings(limiter), prune=False)

    reason = str(error) or "it was interrupted"
    assert told.value.message == (
        f"2 of 4 levels changed, entity user-1 on _default_ and what follows it not yet: {reason}; "
        f"'zae-limiter limits apply -f {document}{' --prune' if prune else ''}' does the rest"
    )
    assert [str(each.level) for each in rest] == ["entity user-1 on _default_", "entity user-1 on gpt-4"]


class Answering(io.BytesIO):
    """A keyboard at which `yes` is typed, after something else has happened."""

    def __init__(self, first: Callable[[], object]) -> None:
        super().__init__(b"y\n")
        self._first = first

    def read1(self, size: int | None = -1) -> bytes:
        self._first()
        return super().read1(size)


def test_what_has_changed_while_apply_asked_is_not_overwritten(run: Run, address: str, document: Path) -> None:
    def change() -> None:
        with open_sync_limiter(address) as limiter:
            limiter.set_resource_defaults("gpt-4", "rpm=1/minute")

    answer = CliRunner().invoke(
        cli, ["limits", "apply", "-f", str(document), "--store", address], input=Answering(change)
    )

    assert answer.exit_code == 1
    assert "changed since this was shown; nothing was done, run it again" in answer.stderr
    assert rows(run("resource", "get-defaults", "gpt-4"))[0][1] == "1"
    assert run("system", "get-defaults").stdout.endswith("not set (block)\n")


def test_a_system_that_says_nothing_does_not_differ_for_ever(run: Run, tmp_path: Path) -> None:
    assert run("limits", "diff", "-f", written(tmp_path, "system: {}\n")).exit_code == 0
    run("system", "set-defaults", "-l", "rpm:1/minute")
    assert run("limits", "apply", "--yes", "-f", written(tmp_path, "system: {}\n")).exit_code == 0
    assert run("limits", "diff", "-f", written(tmp_path, "system: {}\n"), "--prune").exit_code == 0


def test_a_mark_of_byte_order_is_no_part_of_a_document(run: Run, tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text('\ufeff{"resources": {}}', encoding="utf-8")

    assert run("limits", "plan", "-f", "limits.json").stdout == "the store is as declared\n"


def test_a_number_in_json_that_is_too_long_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text(f'{{"system": {"1" * 5000}}}', encoding="utf-8")
    answer = run("limits", "plan", "-f", "limits.json")

    assert answer.exit_code == 1
    assert "is no JSON" in answer.stderr


class Shaky:
    """A limiter that fails when limits of an entity are set."""

    def __init__(self, limiter: SyncRateLimiter, error: BaseException) -> None:
        self._limiter = limiter
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._limiter, name)

    def set_limits(self, *_: object) -> None:
        raise self._error


def test_two_who_apply_at_once_end_as_declared(run: Run, address: str, document: Path) -> None:
    command = [sys.executable, "-m", "zae_limiter", "limits", "apply", "-f", str(document), "--yes", "--store", address]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=120) for process in both]

    assert [process.returncode for process in both] == [0, 0], told
    assert run("limits", "diff", "-f", str(document), "--prune").exit_code == 0
