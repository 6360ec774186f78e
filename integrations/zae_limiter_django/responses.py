"""A refusal as a response of Django, and header fields as Django keeps them."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse

from zae_limiter_http import Refusal


class RefusedResponse(HttpResponse):
    """The answer to a request that was not let in."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.body, status=refusal.status, headers=dict(refusal.headers))


def write_fields(response: Any, fields: Sequence[tuple[str, str]]) -> None:
    """Put fields among the headers of a response."""
    headers = response.headers
    for name, value in fields:
        if headers.get(name) != value:
            headers[name] = value
