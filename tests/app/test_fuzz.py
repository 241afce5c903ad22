"""Thousands of random requests: each gets an answer or a documented refusal, and the server goes on."""

from __future__ import annotations

import json
import random
from typing import Any

from goalscope.app.server import ANSWERS, FILES

COUNT = 5000
KNOWN = {200, 303, 400, 401, 403, 404, 405, 413, 421}
PIECES = [
    "#",
    ".",
    "M",
    "C",
    "*",
    "\n",
    " ",
    "x",
    "\0",
    "\u2028",
    "\ud83d\ude00",
    "<script>",
    "../",
    "'",
    '"',
    "&",
    "%00",
]


def some_text(rng: random.Random) -> str:
    if rng.random() < 0.5:
        side = rng.choice([1, 2, 3, 5, 7, 13, 15])
        rows = [rng.choices("#.", k=side) for _ in range(side)]
        for letter in rng.choice(["MC", "M", "C", "MM", "*", ""]):
            rows[rng.randrange(side)][rng.randrange(side)] = letter
        return "\n".join(map("".join, rows))
    return "".join(rng.choices(PIECES, k=rng.randrange(30)))


def some_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(9 if depth < 3 else 7)
    plain: list[Any] = [
        None,
        rng.random() < 0.5,
        rng.randrange(-3, 30),
        rng.gauss(0, 1e3),
        10**30,
        some_text(rng),
        "",
    ]
    if kind < 7:
        return plain[kind]
    inner = [some_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return inner if kind == 7 else {str(i): each for i, each in enumerate(inner)}


def some_body(rng: random.Random, path: str) -> bytes:
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(200))
    asked = {"text": some_text(rng)} if rng.random() < 0.7 else {}
    names = ["policy", "beside", "paint", "steps", "level", "size", "anywhere", "text", "edit", "dose", "to", "site", "run",
             "search", "world", "page", "moves", "figure"]  # fmt: skip
    for name in rng.sample(names, rng.randrange(4)):
        likely = [
            "mouse-topright",
            "mouse-topright@39062",
            "mouse-corner",
            "reach",
            "value",
            "visits",
            13,
            5,
            1,
            "dose",
            [5, 5],
        ]
        asked[name] = rng.choice(likely) if rng.random() < 0.5 else some_value(rng)
    if rng.random() < 0.02:
        return b"[" * 5000
    return json.dumps(asked).encode()


def some_headers(rng: random.Random) -> dict[str, Any]:
    odd = [
        "",
        "evil.example",
        "127.0.0.1:8123",
        "null",
        "http://127.0.0.1:8123",
        "cross-site",
        "=;=",
        "goalscope-8123=x",
    ]
    names = ["host", "origin", "sec-fetch-site", "cookie", "x-forwarded-host", "content-type"]
    return (
        {rng.choice(names): rng.choice(odd) for _ in range(rng.randrange(3))} if rng.random() < 0.15 else {}
    )


def test_random_requests_get_documented_answers_and_the_server_lives(asking):
    rng = random.Random(19)
    seen: dict[int, int] = {}
    paths = [*ANSWERS] * 4 + [*FILES, "/nothing", "/api/", "/api/maze/../..", "/%ff", "/?token=x"]
    for number in range(COUNT):
        path, method = rng.choice(paths), rng.choice(["POST"] * 8 + ["GET", "PUT", "DELETE", "OPTIONS"])
        body = some_body(rng, path)
        answer = asking.request(method, path, content=body, headers=some_headers(rng))
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        assert answer.status_code in KNOWN, (
            f"request {number}: {method} {path} {body!r:.300}: {answer.text:.300}"
        )
        if answer.status_code == 400:
            words = answer.json()["error"]
            assert 0 < len(words) < 1500 and "Traceback" not in words, words
    assert seen[200] > 100 and seen[400] > 300, f"both kinds are tried: {seen}"
    assert asking.ask("/api/maze", text="#####\n#M.C#\n#...#\n#...#\n#####")["panels"]
