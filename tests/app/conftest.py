"""A desk with the packaged maze policy; the page's server asked without a socket, and in a real browser."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from goalscope.app import guard, server
from goalscope.app.desk import Desk
from goalscope.app.server import page
from goalscope.policies.given import policy_of

PORT, TOKEN = 8123, "the-token"
WAIT = 60_000
"""ms for what is waited for in a browser: other work may have the processor"""
HOME = f"http://127.0.0.1:{PORT}"

# No test depends on the machine's speed: the limits of time are tried where they are set shorter.
server.MOST_SECONDS = guard.MOST_SECONDS = 600.0


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


class Serving:
    """The page's server on a port of this machine, that can be stopped and started again."""

    def __init__(self, desk: Desk):
        self.desk, self.requests = desk, 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    @property
    def link(self) -> str:
        """The link that opens the page."""
        return f"http://127.0.0.1:{self.port}/?token={TOKEN}"

    def start(self) -> None:
        """Serves, once the port is open."""
        app = page(self.desk, TOKEN, self.port)

        async def counting(scope: Any, receive: Any, send: Any) -> None:
            self.requests += scope.get("path") == "/api/maze"
            await app(scope, receive, send)

        config = uvicorn.Config(
            counting,
            host="127.0.0.1",
            port=self.port,
            log_level="error",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            self.thread.join(0.02)
            if not self.thread.is_alive():
                raise OSError(f"port {self.port} could not be served")

    def stop(self) -> None:
        """Ends it, as when its process is killed."""
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture(scope="module")
def served() -> Iterator[Serving]:
    """The server on a port of this machine."""
    found = Serving(Desk(policy_of("mouse-topright"), "mouse-topright"))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright; what needs it is skipped where there is none, or it does not start."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    where = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if where is None:
        pytest.skip("no Chromium is installed (apt-get install chromium): the page is not tried in a browser")
    with sync_api.sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(
                executable_path=where, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
            )
        except sync_api.Error as error:
            pytest.skip(f"{where} does not start here: {str(error).splitlines()[0]}")
        yield found
        found.close()
