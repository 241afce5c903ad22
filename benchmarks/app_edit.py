"""From a wall that is turned on the page to the redrawn field, in a real browser, against `vector_field` alone.

Peer: `vector_field` of the same 25 x 25 maze, in the same process, alternating with ours.
Ours: a key pressed over a square of the page until the browser has drawn the field that the server sent: the request, the
field, where the mouse ends, the picture, and its drawing. Bounds: 2 at the median, and 4 times the peer's median at the
95th percentile. Needs Chromium and playwright.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import threading
import time

import numpy as np
import torch
import uvicorn
from playwright.sync_api import sync_playwright

from goalscope.app.desk import Desk
from goalscope.app.server import page
from goalscope.policies.compact import Compact
from goalscope.policies.given import policy_of
from goalscope.rollout import vector_field
from goalscope.worlds.contract import take
from goalscope.worlds.maze import Maze
from goalscope.worlds.maze.paths import maze_size

REPEATS, PORT, TOKEN = 25, 8791, "t"
DRAWN = """() => new Promise((done) => {
  const start = performance.now();
  const seen = new MutationObserver(() => { seen.disconnect(); requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))); });
  seen.observe(document.querySelector('.board .drawn'), { childList: true });
  document.querySelector('.sheet').dispatchEvent(new KeyboardEvent('keydown', { key: ' ' }));
})"""  # noqa: E501
"""presses space over the cursor's square, and gives the milliseconds until the next picture is on the screen"""


def main() -> None:
    """Prints a table and the two ratios."""
    torch.manual_seed(0)
    world, policy = Maze(25, None), policy_of(Compact(25, 32, 5).eval())
    levels = world.generate(np.arange(60))
    state = take(levels, int(np.flatnonzero(maze_size(levels) == 25)[0]))
    desk = Desk(policy, "Compact")
    config = uvicorn.Config(
        page(desk, TOKEN, PORT), host="127.0.0.1", port=PORT, log_level="error", lifespan="off"
    )
    server = uvicorn.Server(config)
    serving = threading.Thread(target=server.run, daemon=True)
    serving.start()
    while not server.started:
        time.sleep(0.02)
    text = world.text(state)[0].replace("#", "x").replace("\n", "-")
    ours, peer = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page()
        tab.goto(f"http://127.0.0.1:{PORT}/?token={TOKEN}#maze?policy=Compact&maze={text}")
        tab.wait_for_selector(".board .drawn svg", timeout=60_000)
        for i in range(REPEATS + 3):
            start = time.perf_counter()
            vector_field(policy, state)
            seconds = time.perf_counter() - start
            drawn = tab.evaluate(DRAWN) / 1000
            tab.wait_for_function("() => !document.body.dataset.busy")
            if i >= 3:
                ours.append(drawn)
                peer.append(seconds)
        browser.close()
    server.should_exit = True
    serving.join()
    median, alone = statistics.median(ours), statistics.median(peer)
    late = float(np.quantile(ours, 0.95))
    print(f"a changed wall, drawn: median {1000 * median:.0f} ms, 95th percentile {1000 * late:.0f} ms")
    print(f"vector_field alone:    median {1000 * alone:.0f} ms")
    print(f"RATIO app_edit {median / alone:.2f}")
    print(f"RATIO app_edit_late {late / alone:.2f}")
    sys.exit(median / alone > 2 or late / alone > 4)


if __name__ == "__main__":
    main()
