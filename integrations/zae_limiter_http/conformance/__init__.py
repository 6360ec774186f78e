"""The checks that every framework package is held to, ours or another's; needs the extra `test`.

A driver tells how an application of the framework is made; `Conformance` asks it all questions.
"""

from zae_limiter.exceptions import MissingExtraError

try:
    from zae_limiter_http.conformance.suite import Conformance
except ModuleNotFoundError as error:
    if error.name not in ("pytest", "http_sfv"):
        raise
    raise MissingExtraError("test", "zae_limiter_http.conformance") from error

from zae_limiter_http.conformance.asking import Ask, Reply
from zae_limiter_http.conformance.site import Answer, Call, Driver, Interface, Route, Site, wrapped
from zae_limiter_http.conformance.world import World

__all__ = ["Answer", "Ask", "Call", "Conformance", "Driver", "Interface", "Reply", "Route", "Site", "World", "wrapped"]
