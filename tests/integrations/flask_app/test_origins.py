"""What scripts of other origins may read of an answer of Flask."""

from flask import Flask, Response

from zae_limiter_flask import ZaeLimiter


def test_scripts_of_other_origins_may_read_when_to_come_back() -> None:
    app = Flask(__name__)
    ZaeLimiter(app, store="memory:", key="ip", default="1/hour", cors_expose=True)
    app.add_url_rule("/", "index", lambda: "x")

    @app.after_request
    def allow(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = "X-Own"
        return response

    client = app.test_client()
    answers = [client.get("/", headers={"Origin": "https://other.example"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    for answer in answers:
        assert answer.headers["Access-Control-Expose-Headers"] == "X-Own, Retry-After, RateLimit-Policy, RateLimit"
