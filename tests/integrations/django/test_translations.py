"""What a refusal says, in the language of its request, by a catalogue of the project."""

import struct
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client

from tests.integrations.django.project import LIMITER, at, project
from zae_limiter.testing import sync_memory_limiter

GERMAN = {
    "": "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n",
    "Too Many Requests": "Zu viele Anfragen",
    "Rate limit {names} exceeded.\0Rate limits {names} exceeded.": (
        "Das Kontingent {names} ist erschöpft.\0Die Kontingente {names} sind erschöpft."
    ),
    "Retry in {seconds} second.\0Retry in {seconds} seconds.": (
        "Bitte in {seconds} Sekunde noch einmal.\0Bitte in {seconds} Sekunden noch einmal."
    ),
}
RULES = [{"key": "ip", "limits": "2/minute"}]


def _catalogue(texts: dict[str, str]) -> bytes:
    """A catalogue as gettext reads it: a header, two tables of lengths and places, the texts."""
    pairs = sorted((text.encode(), said.encode()) for text, said in texts.items())
    first = 28 + 16 * len(pairs)
    tables: list[bytes] = []
    octets = b""
    for side in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<II", len(pair[side]), first + len(octets)))
            octets += pair[side] + b"\0"
    return struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, first) + b"".join(tables) + octets


@pytest.fixture
def spoken(tmp_path: Path) -> Any:
    (tmp_path / "de" / "LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "de" / "LC_MESSAGES" / "django.mo").write_bytes(_catalogue(GERMAN))
    return {
        "LOCALE_PATHS": [tmp_path],
        "USE_I18N": True,
        "MIDDLEWARE": ["django.middleware.locale.LocaleMiddleware", LIMITER],
    }


def _hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def _refused(**headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return [Client().get("/page", headers=named) for _ in range(3)][2]


def test_a_page_and_a_problem_speak_the_language_of_the_request(spoken: Any) -> None:
    with project([at("page", _hello)], {"limiter": sync_memory_limiter(), "rules": RULES}, **spoken):
        problem = _refused(accept_language="de")
        assert problem.json()["detail"] == 'Das Kontingent "rpm" ist erschöpft. Bitte in 30 Sekunden noch einmal.'
        assert problem.json()["title"] == "Quota Exceeded"
        page = _refused(accept_language="de", accept="text/html").content.decode()
        assert '<html lang="de">' in page
        assert "<title>Zu viele Anfragen</title>" in page
        assert _refused(accept_language="de", accept="text/plain").content.startswith(b"Zu viele Anfragen\n")


def test_without_a_catalogue_for_it_the_texts_are_english(spoken: Any) -> None:
    with project([at("page", _hello)], {"limiter": sync_memory_limiter(), "rules": RULES}, **spoken):
        assert _refused(accept_language="en").json()["detail"] == 'Rate limit "rpm" exceeded. Retry in 30 seconds.'
