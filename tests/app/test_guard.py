"""Who is answered: nobody without the token, no other page, no other name for this machine; and bounded bodies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from goalscope.app import guard
from goalscope.app.guard import MOST_BYTES, Guard


def test_the_link_gives_the_cookie_and_hides_the_token(asking):
    answer = asking.get("/?token=the-token", token=None)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert asking.get("/").status_code == 200


@pytest.mark.parametrize("token", [None, "", "the-toke", "the-token2", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
@pytest.mark.parametrize("path", ["/", "/page.js", "/api/policies", "/nothing"])
def test_nothing_is_answered_without_the_token(asking, path, token):
    headers = {} if token is None else {"cookie": f"goalscope-8123={token}".encode()}
    answer = asking.request("POST", path, token=None, headers=headers)
    assert answer.status_code == 401 and "goalscope app" in answer.text
    assert asking.get(f"/?token={token or ''}", token=None).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example:8123", "127.0.0.1", "127.0.0.1:81", "localhost", "", "[::1]:8123"]
)
def test_another_name_for_this_machine_is_refused(asking, host):
    assert asking.get("/", headers={"host": host}).status_code == 421
    assert asking.get("/?token=the-token", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8123"]
)
def test_other_pages_are_refused(asking, origin):
    for path in ("/", "/api/policies"):
        assert asking.request("POST", path, json={}, headers={"origin": origin}).status_code == 403
    site = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert asking.get("/page.js", headers=site).status_code == 403
    own = {"origin": "http://127.0.0.1:8123", "sec-fetch-site": "same-origin"}
    assert asking.request("POST", "/api/policies", json={}, headers=own).status_code == 200


def test_every_answer_allows_no_script_but_the_pages_own_files(asking):
    for answer in (asking.get("/"), asking.get("/nothing"), asking.get("/", token=None)):
        policy = dict(
            part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
        )
        assert (
            policy["default-src"] == "'none'"
            and policy["script-src"] == "'self'"
            and policy["style-src"] == "'self'"
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in asking.get("/").text and "onclick" not in asking.get("/").text


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/static/../server.py",
        "/%2e%2e/server.py",
        "/etc/passwd",
        "//etc/passwd",
        "/page.js%2f..",
    ],
)
def test_no_path_leads_to_a_file_that_is_not_the_pages(asking, path):
    assert asking.get(path).status_code in (404, 405)


def test_a_long_body_is_refused_before_it_is_read(asking):
    assert asking.request("POST", "/api/maze", content=b"x" * (MOST_BYTES + 1)).status_code == 413
    assert asking.request("POST", "/api/maze", content=b"x" * MOST_BYTES).status_code == 400


def asked(app: Any, messages: list[dict[str, Any]], headers: list[tuple[bytes, bytes]]) -> int:
    """The status of one request whose body comes as these messages, and then does not go on."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.sleep(60)
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    head = [(b"host", b"127.0.0.1:1"), (b"cookie", b"goalscope-1=t"), *headers]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": head}
    asyncio.run(Guard(app, "t", 1)(scope, receive, send))
    return sent[0]["status"]


def test_a_body_that_says_no_length_or_does_not_come_is_bounded_too(monkeypatch):
    async def never(*_: Any) -> None:
        raise RuntimeError("the application was asked")

    part = {"type": "http.request", "body": b"x" * 600_000, "more_body": True}
    assert asked(never, [part, part], []) == 413
    assert asked(never, [], [(b"content-length", b"-1")]) == 413
    monkeypatch.setattr(guard, "MOST_SECONDS", 0.05)
    assert asked(never, [{**part, "body": b"x"}], []) == 408
