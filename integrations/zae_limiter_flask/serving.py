"""How requests of one application pass the limiter: before the view, after the response, with the last byte.

What is charged and answered is the gate's to decide; here is when Flask asks it.
"""

import contextlib
import weakref
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Request, Response, has_request_context, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from zae_limiter.sync_lease import SyncLease
from zae_limiter_flask.configuration import is_enabled, settings_of
from zae_limiter_flask.errors import RequestRefused, RequestUnavailable, http_error
from zae_limiter_flask.facts import facts, refuse_coroutines
from zae_limiter_flask.marks import Mark, rules_of
from zae_limiter_http import (
    HttpRequest,
    Passed,
    RateLimiterUnavailable,
    RateLimitExceeded,
    Refusal,
    Rule,
    SyncGate,
    SyncPassed,
    sync_limiter_of,
)
from zae_limiter_http.merging import MERGED
from zae_limiter_http.per_process import PerProcess
from zae_limiter_http.rule import DEFAULT_RESOURCE

if TYPE_CHECKING:
    from zae_limiter_flask.extension import ZaeLimiter

EXTENSION: Final = "zae_limiter"
_VISIT: Final = "_zae_limiter_visit"
_EXEMPT: Final = (Rule(exempt=True),)


class Visit:
    """One request and what the limiter said of it."""

    __slots__ = ("blocks", "ends_with_body", "facts", "gate", "has_ended", "passed", "refusal", "served")

    def __init__(self, served: "Served", gate: SyncGate, facts: HttpRequest) -> None:
        self.served = served
        self.gate = gate
        self.facts = facts
        self.passed: SyncPassed | None = None
        self.refusal: Refusal | None = None
        self.ends_with_body = False
        self.has_ended = False
        self.blocks: list[SyncPassed] = []

    @property
    def current(self) -> SyncPassed:
        """What the limiter said; a request that was refused, which a handler of errors sees, has no lease."""
        if self.passed is not None:
            return self.passed
        refused = Passed(self.facts)
        refused.limited, refused.refusal = True, self.refusal
        return SyncPassed(refused)

    def enter_block(self, mark: Mark) -> SyncLease:
        """Charge a rule for a block inside the view, each time anew; raises its refusal."""
        if self.passed is None:
            raise RuntimeError("the request was refused; nothing more is charged for it")
        rule = mark.rule(self.served.key, self.facts.view or DEFAULT_RESOURCE)
        entered = self.gate.enter_block(self.passed, rule)
        if isinstance(entered, Refusal):
            raise self.refused(entered)
        self.blocks.append(entered)
        _AROUND.set((self, (*self._around(), entered)))
        return entered.lease

    def leave_block(self, status: int | None) -> None:
        """End the lease of the innermost block around the caller."""
        around = self._around()
        entered = around[-1] if around else self.blocks[-1]
        self.blocks.remove(entered)
        _AROUND.set((self, around[:-1]) if around[1:] else None)
        self.gate.leave(entered, status=status)

    @property
    def lease(self) -> SyncLease:
        """The lease of the innermost block around the caller, else that of the request."""
        around = self._around()
        return around[-1].lease if around else self.current.lease

    def _around(self) -> tuple[SyncPassed, ...]:
        held = _AROUND.get()
        return held[1] if held is not None and held[0] is self else ()

    def refused(self, refusal: Refusal) -> HTTPException:
        """Remember a refusal for the headers; the error to raise for it."""
        self.refusal = refusal
        return http_error(refusal)

    def answers(self, status: int) -> bool:
        """Whether a response of this status answers what was refused: a view may go on without its block, and fail."""
        is_refused = self.passed is None or (self.refusal is not None and status == self.refusal.status)
        return is_refused and status >= 400

    def end(self, status: int | None) -> None:
        """End the lease of the request, once: Flask tears a request down twice where its body is streamed."""
        if not self.has_ended:
            self.has_ended = True
            if self.passed is not None:
                self.gate.leave(self.passed, status=status)
            # The request holds this visit: without the way back both are gone at once, and no collector has to come.
            self.facts.native = None


# Tasks of an async view, and threads, are each in blocks of their own.
_AROUND: Final[ContextVar[tuple[Visit, tuple[SyncPassed, ...]] | None]] = ContextVar("zae_limiter_flask", default=None)


class Served:
    """The limiter of one application: its settings, the rules of its views, and a gate in each process."""

    def __init__(self, app: Flask, extension: "ZaeLimiter", words: Mapping[str, Any]) -> None:
        self.extension = extension
        self.key = words["key"]
        self.settings = settings_of(words)
        self.buckets = self.settings.buckets()
        self._app = app
        self._rules: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self._marks_known = 0
        self._closed_gate()  # made and thrown away, so that mistakes are told now
        self._gates = PerProcess(self._opened_gate)

    def _closed_gate(self) -> SyncGate:
        limiter = sync_limiter_of(self.settings, development=self._app.debug)
        refuse_coroutines(self.settings.async_words())
        return SyncGate(limiter, self.settings, runs_coroutines=True)

    def _opened_gate(self) -> SyncGate:
        gate = self._closed_gate()
        # What is only away for now is each request's own to answer, as the settings say.
        with contextlib.suppress(RateLimiterUnavailable):
            gate.limiter.__enter__()
            # One that was handed in may be in use elsewhere when this application is gone.
            if self.settings.is_limiter_made_here:
                weakref.finalize(self, gate.limiter.__exit__, None, None, None)
        return gate

    @property
    def gate(self) -> SyncGate:
        """The gate of this process, whose limiter was opened in it."""
        return self._gates.get()

    def hang_in(self, app: Flask) -> None:
        """Let the application call us; where it has handlers of its own for our errors they stay."""
        app.before_request(self.before)
        app.after_request(self.after)
        app.teardown_request(self.teardown)
        known = app.error_handler_spec[None][None]
        for error in (RateLimitExceeded, RateLimiterUnavailable):
            if error not in known:
                app.register_error_handler(error, self.answered)

    def before(self) -> None:
        """Let a request in, or raise its refusal."""
        gate = self.gate
        gate.enabled = is_enabled(self._app, self.settings.enabled)
        asked = _request()
        visit = Visit(self, gate, facts(asked))
        setattr(asked, _VISIT, visit)
        entered = gate.enter(visit.facts, also=self._rules_of_view(asked))
        if isinstance(entered, Refusal):
            raise visit.refused(entered)
        visit.passed = entered

    def _rules_of_view(self, asked: Request) -> tuple[Rule, ...]:
        rule = asked.url_rule
        if rule is None:
            return ()
        if self._marks_known != self.extension.changes:
            self._marks_known = self.extension.changes
            self._rules = {}
        place = rule.endpoint, asked.method
        found = self._rules.get(place)
        if found is None:
            found = self._rules[place] = self.rules_of(*place)
        return found

    def rules_of(self, endpoint: str, method: str) -> tuple[Rule, ...]:
        """The rules that belong to the view of an endpoint; files that Flask itself serves are exempt.

        `SettingsError` for a view that a decorator without parentheses was meant to limit.
        """
        if self._serves_files(endpoint):
            return _EXEMPT
        self.extension.refuse_taken(self._app.view_functions.get(endpoint))
        return rules_of(self._app, self.extension, self.key, endpoint, method, self.buckets)

    def _serves_files(self, endpoint: str) -> bool:
        name, _, last = endpoint.rpartition(".")
        owner = self._app.blueprints.get(name) if name else self._app
        # A view may have that name, too, where there are no files.
        return last == "static" and owner is not None and owner.has_static_folder

    def after(self, response: Response) -> Response:
        """Write the headers, and end the lease now or with the last byte of a streamed body."""
        visit = visit_of_request()
        if visit is None or visit.served is not self:
            return response
        status = response.status_code
        if visit.refusal is not None and visit.answers(status):
            response.headers[:] = visit.refusal.fields_on(list(response.headers))
        elif visit.passed is not None:
            _write(visit.gate, visit.passed, response)
        if status >= 400 and "Content-Length" in response.headers and not response.direct_passthrough:
            # Flask hands its own error pages over as if they were streamed; they are whole already.
            response.make_sequence()
        if response.is_streamed and not response.direct_passthrough:
            # What is passed through directly, such as a file, is closed by the server without the response around it.
            visit.ends_with_body = True
            response.call_on_close(lambda: visit.end(status))
        else:
            visit.end(status)
        return response

    def teardown(self, _: BaseException | None) -> None:
        """End the lease of a request that has come to no response."""
        visit = visit_of_request()
        if visit is not None and visit.served is self and not (visit.has_ended or visit.ends_with_body):
            visit.end(None)

    def answered(self, error: Exception) -> ResponseReturnValue:
        """The answer to an error of the limiter for which the application has no handler, whoever has raised it."""
        if isinstance(error, (RequestRefused, RequestUnavailable)):
            return error.get_response()
        visit = visit_of_request()
        refusal = None
        if visit is not None and visit.passed is not None:
            refusal = visit.gate.answer(error, visit.passed)
        if visit is None or refusal is None:
            raise error
        return self._app.handle_http_exception(visit.refused(refusal))


def _write(gate: SyncGate, passed: SyncPassed, response: Response) -> None:
    headers = response.headers
    if passed.awaits_price or not MERGED.isdisjoint([name.lower() for name, _ in headers]):
        status, existing = response.status_code, list(headers)
        headers[:] = gate.response_headers(passed, status, existing, native=response)
        return
    # The usual case: there are only new ones, and the others need not be looked at again.
    for name, value in gate.granted_fields(passed, response.status_code):
        headers.add(name, value)


def _request() -> Request:
    # The request itself, not the proxy: a callable of the user may keep it.
    found: Request = request._get_current_object()  # type: ignore[attr-defined]  # a proxy, by its type a Request
    return found


def visit_of_request() -> Visit | None:
    """What the limiter did for the current request, or None where there is none or it was not asked."""
    try:
        found = getattr(_request(), _VISIT, None)
    except RuntimeError:
        return None
    return found if isinstance(found, Visit) else None


def visit() -> Visit:
    """The same for those who need one; `RuntimeError` that says what is missing."""
    found = visit_of_request()
    if found is not None:
        return found
    if not has_request_context():
        raise RuntimeError("no request is being served here; in a streamed body use flask.stream_with_context")
    raise RuntimeError("no limiter has seen this request; call limiter.init_app(app)")
