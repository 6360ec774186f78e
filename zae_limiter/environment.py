"""Every environment variable of the suite, in one table; a name with the prefix that nobody knows is reported.

To add one, give it a row in `_ROWS` and read it with `read(name)`: a program sees the variables of the others too,
so all of them stand here, whoever reads them. Packages that are not ours call `add` when they are imported.
"""

import difflib
import os
from collections.abc import Mapping
from typing import Final

PREFIX: Final = "ZAE_LIMITER_"

# Sorted. A row that ends in `__*` stands for settings inside settings: ZAE_LIMITER_PROXY__SOURCE.
_ROWS: Final = {
    "ZAE_LIMITER_CORS_EXPOSE": "true adds our fields to Access-Control-Expose-Headers",
    "ZAE_LIMITER_DEFAULT_RULE": "the rule of what no other covers, as JSON",
    "ZAE_LIMITER_ENABLED": "false lets every request pass unlimited",
    "ZAE_LIMITER_ENDPOINT_URL": "where DynamoDB answers, if not at AWS",
    "ZAE_LIMITER_EXEMPT_METHODS": "methods that are never charged, as JSON",
    "ZAE_LIMITER_EXEMPT_PATHS": "globs of paths that are never charged, as JSON",
    "ZAE_LIMITER_EXEMPT_WHEN": "the import string of a callable that exempts a request",
    "ZAE_LIMITER_EXPOSE_LIMITS": "true adds the limits to the body of a refusal",
    "ZAE_LIMITER_EXPOSE_PARENT": "true shows what a parent has left",
    "ZAE_LIMITER_FUZZ_SCHEDULES": "how many random schedules the project's own tests run on each store",
    "ZAE_LIMITER_HASH_SECRET": "the secret that API keys are digested with",
    "ZAE_LIMITER_HEADER_STYLE": "which header fields a response gets, as JSON",
    "ZAE_LIMITER_HTML_TEMPLATE": "the page of a refusal for browsers",
    "ZAE_LIMITER_IPV6_PREFIX": "how many bits of an IPv6 address make one caller",
    "ZAE_LIMITER_LIMITER": "the import string of a limiter, or of a function that makes one, instead of a store",
    "ZAE_LIMITER_LIMITER_TIMEOUT": "the deadline of a charge in seconds",
    "ZAE_LIMITER_NAME": "the DynamoDB table, where none is named",
    "ZAE_LIMITER_NAMESPACE": "the namespace of a DynamoDB table, where none is named",
    "ZAE_LIMITER_ON_ERROR": "raise, deny or allow where a rule cannot work",
    "ZAE_LIMITER_ON_EVENT": "the import string of a callable that is told what happens",
    "ZAE_LIMITER_ON_UNAVAILABLE": "allow or block while the store cannot be used",
    "ZAE_LIMITER_ON_UNMAPPED": "pass, limit, warn or deny what no rule covers",
    "ZAE_LIMITER_PARTITION_KEY": "what tells buckets apart in header fields",
    "ZAE_LIMITER_PRINCIPAL": "who makes a change, for the audit events of the commands",
    "ZAE_LIMITER_PROXY": "which proxies are trusted, as JSON",
    "ZAE_LIMITER_PROXY__*": "one setting of the trusted proxies, such as ZAE_LIMITER_PROXY__SOURCE",
    "ZAE_LIMITER_RATELIMIT_DIALECT": "how RateLimit spells its parameters",
    "ZAE_LIMITER_RATELIMIT_MEMBERS": "whether a grant lists all limits or the tightest",
    "ZAE_LIMITER_REFUND_ON": "never or 5xx, or the import string of a callable of the status",
    "ZAE_LIMITER_REGION": "the AWS region of the DynamoDB table, where none is named",
    "ZAE_LIMITER_RESET_FORMAT": "how X-RateLimit-Reset tells the time",
    "ZAE_LIMITER_RESPONDER": "the import string of a callable that makes the body of a refusal",
    "ZAE_LIMITER_RETRY_AFTER_FORMAT": "Retry-After as delta or http-date",
    "ZAE_LIMITER_RETRY_AFTER_JITTER_SECONDS": "seconds added to Retry-After by chance, at most",
    "ZAE_LIMITER_RULES": "the rules of an application, as JSON",
    "ZAE_LIMITER_STORE": "the address of the store, such as embedded:///var/lib/app/limits.db",
    "ZAE_LIMITER_TEST_AWS": "1 lets the project's own tests use a real table",
    "ZAE_LIMITER_TOKEN": "what a visitor of the dashboard must have",
    "ZAE_LIMITER_UNAVAILABLE_RETRY_AFTER": "seconds that the Retry-After of a 503 says",
    "ZAE_LIMITER_WEBSOCKET_CLOSE_CODE": "the code of a refused handshake where no answer can be sent",
}
_KNOWN: Final = dict(_ROWS)


def add(name: str, meaning: str) -> None:
    """Make a variable known; a name that ends in `__*` stands for all that begin so."""
    if not name.startswith(PREFIX) or name == PREFIX:
        raise ValueError(f"{name!r} must begin with {PREFIX} and go on")
    _KNOWN[name] = meaning


def known() -> Mapping[str, str]:
    """Every variable that is known, by name, and what it says."""
    return dict(sorted(_KNOWN.items()))


def read(name: str, environment: Mapping[str, str] | None = None) -> str | None:
    """The value of a known variable, or None where it is not set or empty; `LookupError` for a name without a row."""
    if not _is_known(name):
        raise LookupError(f"{name} is in no row of zae_limiter/environment.py; add it there")
    return (os.environ if environment is None else environment).get(name) or None


def unknown(environment: Mapping[str, str] | None = None) -> list[str]:
    """One sentence for each variable with the prefix that nobody knows, with the nearest name that is known."""
    found = sorted(os.environ if environment is None else environment)
    return [_reported(name) for name in found if name.startswith(PREFIX) and not _is_known(name)]


def _is_known(name: str) -> bool:
    if name in _KNOWN:
        return True
    families = (row[:-1] for row in _KNOWN if row.endswith("__*"))
    return any(name.startswith(family) and name != family for family in families)


def _reported(name: str) -> str:
    nearest = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.8)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known())}"
    return f"the environment variable {name} is not known; {hint}"
