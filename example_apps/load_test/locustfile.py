"""A load of users who charge for a model, learn the true cost later, and are refused now and then.

Run with `locust -f example_apps/load_test/locustfile.py --host embedded:////tmp/load.db`.
"""

import random

from locust import between, events, task
from locust.env import Environment

from zae_limiter import RateLimitExceeded, open_sync_limiter
from zae_limiter.locust import RateLimiterUser

LIMITS = "rps=20/second; tpm=1000000/minute"


def set_limits(environment: Environment) -> None:
    """The limits of the model, before the first user charges; limits that are stored already are left alone."""
    if environment.host:
        with open_sync_limiter(environment.host, timeout=10.0) as limiter:
            if not limiter.get_resource_defaults("gpt-4"):
                limiter.set_resource_defaults("gpt-4", LIMITS)


events.test_start.add_listener(set_limits)  # type: ignore[no-untyped-call] # as Locust has it


class Caller(RateLimiterUser):
    """One of a few API keys that are used at the same time."""

    wait_time = between(0.005, 0.02)

    @task(10)
    def ask(self) -> None:
        """A call whose tokens are known when it is answered."""
        entity_id = f"key-{random.randrange(5)}"
        try:
            with self.client.acquire(entity_id, "gpt-4", {"rps": 1, "tpm": 500}) as lease:
                lease.adjust(tpm=random.randrange(-400, 400))
        except RateLimitExceeded:
            return

    @task(1)
    def look(self) -> None:
        """What is left."""
        self.client.available(f"key-{random.randrange(5)}", "gpt-4")
