"""A desk with the packaged maze policy, and the page's server asked without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from goalscope.app.desk import Desk
from goalscope.app.server import page
from goalscope.policies.given import policy_of

PORT, TOKEN = 8123, "the-token"
HOME = f"http://127.0.0.1:{PORT}"


class Asking:
    """Requests to the page's application, by default as its own browser sends them: with the token's cookie."""

    def __init__(self, desk: Desk):
        self.desk, self.app, self.runner = desk, page(desk, TOKEN, PORT), asyncio.Runner()

    def request(self, method: str, path: str, token: str | None = TOKEN, **given: Any) -> httpx.Response:
        """One request; `token` None sends no cookie."""
        headers = {"cookie": f"goalscope-{PORT}={token}"} if token is not None else {}
        headers |= given.pop("headers", {})

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
                return await client.request(method, path, headers=headers, **given)

        return self.runner.run(asked())

    def get(self, path: str, **given: Any) -> httpx.Response:
        """GET, as `request`."""
        return self.request("GET", path, **given)

    def ask(self, path: str, **asked: Any) -> Any:
        """What the server answers to a question; raises where it refuses."""
        answer = self.request("POST", path, json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, path: str, **asked: Any) -> str:
        """The one line with which the server refuses a question."""
        answer = self.request("POST", path, json=asked)
        assert answer.status_code == 400, answer.text
        words = answer.json()["error"]
        assert words and "\n" not in words
        return words


@pytest.fixture(scope="module")
def asking() -> Iterator[Asking]:
    """The server, with `mouse-topright` shown first."""
    found = Asking(Desk(policy_of("mouse-topright"), "mouse-topright"))
    yield found
    found.runner.close()
