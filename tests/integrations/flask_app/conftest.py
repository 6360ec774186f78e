"""An application of Flask with a limiter on a clock that stands still."""

import pytest
from flask import Flask

from tests.integrations.flask_app.asking import Pair
from zae_limiter import SyncRateLimiter
from zae_limiter_flask import ZaeLimiter


@pytest.fixture
def pair(zae_limiter_sync: SyncRateLimiter) -> Pair:
    limiter = ZaeLimiter(limiter=zae_limiter_sync, key="ip")
    app = Flask(__name__)
    limiter.init_app(app)
    return app, limiter
