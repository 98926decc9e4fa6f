"""Ask a server of `foveate serve` with a hundred clients at a time, hostile ones among them: `make load`.

It asks nobody but a server that it starts itself, on this machine. Each client sends whole photographs, several at
once, damaged pictures, bombs, texts and halves, for as long as was said; every answer is compared with the model's own.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import tyro
from PIL import Image

from foveate.config.hardware import HardwareConfig
from foveate.data.images import ImageError, read_image
from foveate.hardware import describe
from foveate.plumage import PlumageConfig, draw_plumage
from foveate.report.results import with_block
from foveate.report.tables import markdown_table
from foveate.runs.environment import commit
from foveate.workflows.model import Model, load
from fuzz import pictures
from fuzz.document import DOCUMENT

RESULTS = Path(__file__).parent / "serving.json"
BEGIN, END = "<!-- serving: made by `make load` -->", "<!-- end of serving -->"

_KINDS = {"whole": 50, "several": 12, "explained": 4, "damaged": 16, "bomb": 8, "no picture": 6, "left": 4}
"""What clients send, of a hundred."""
_DAMAGED = 150
_CLOSE = 2e-4  # of probabilities that were computed in another batch
_MOST = 100_000  # requests
_BUSY = (429, 503)


@dataclass(frozen=True)
class Options:
    """How long, and how many."""

    clients: int = 100
    seconds: float = 90.0
    seed: int = 0
    out: Path | None = None
    """A file of JSON for the figures; None: fuzz/serving.json, and docs/robustness.md is made anew."""


class Sent(NamedTuple):
    """One picture, and what is to be said of it."""

    kind: str
    content: bytes
    expected: dict[str, float] | None
    """Each class's probability; None: it is to be refused."""
    statuses: tuple[int, ...] = (415, 422, 413)


@dataclass
class Tally:
    """What became of the requests."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Of those that were answered, by kind."""


def bombs() -> list[bytes]:
    """Return small files that unpack to much: by their header, by a text, and truly."""
    flat, small = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.zeros((7_000, 8_000), dtype=np.uint8)).save(flat, "PNG")  # 56 megapixels: within the limit
    Image.new("RGB", (32, 32)).save(small, "PNG")
    plain = small.getvalue()
    header = b"IHDR" + (60_000).to_bytes(4) * 2 + plain[24:29]
    body = b"zTXt" + b"words\0\0" + zlib.compress(bytes(300_000_000), 9)
    text = (len(body) - 4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
    large = plain[:12] + header + zlib.crc32(header).to_bytes(4) + plain[33:]
    return [large, plain[:33] + text + plain[33:], flat.getvalue()]


def _expected(model: Model, content: bytes) -> dict[str, float] | None:
    """Return what the model itself answers; None where the picture cannot be read."""
    try:
        image = read_image(content, "a picture", largest_megapixels=60)
    except ImageError:
        return None
    answer = model.predict(image, top=len(model.class_names))
    return {each.class_name: each.probability for each in answer.top}


def prepared(model: Model, photographs: Sequence[Path], seed: int) -> dict[str, list[Sent]]:
    """Return what clients send, by kind, each with the model's own answer."""
    whole = [Sent("whole", path.read_bytes(), None) for path in photographs]
    damaged = [pictures.mutated(pictures.Picture(seed, number))[1] for number in range(_DAMAGED)]
    texts = [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<!doctype html><p>words", b"words", b""]
    everything = {
        "whole": [each.content for each in whole],
        "damaged": damaged,
        "bomb": bombs(),
        "no picture": texts,
    }
    return {
        kind: [Sent(kind, content, _expected(model, content)) for content in contents]
        for kind, contents in everything.items()
    }


@dataclass
class Client:
    """One of many, who sends one request after another from an address of its own."""

    url: str
    number: int
    sent: Mapping[str, Sequence[Sent]]
    until: float
    random: random.Random
    tally: Tally
    count: int = 0

    async def run(self) -> None:
        """Ask until the time is over."""
        transport = httpx.AsyncHTTPTransport(local_address=f"127.0.0.{2 + self.number % 200}")
        async with httpx.AsyncClient(transport=transport, timeout=60) as client:
            while time.monotonic() < self.until and self.tally.outcomes.total() < _MOST:
                kind = self.random.choices(list(_KINDS), list(_KINDS.values()))[0]
                self.count += 1
                try:
                    await self._ask(client, kind)
                except (httpx.HTTPError, OSError) as error:
                    self.tally.faults[f"{kind}: no answer, {type(error).__name__}"] += 1
                    self.tally.outcomes["fault"] += 1
                await asyncio.sleep(self.random.uniform(0, 0.2))

    async def _ask(self, client: httpx.AsyncClient, kind: str) -> None:
        if kind == "left":
            await self._leave()
            return
        whole = kind in ("whole", "several", "explained")
        count = self.random.randint(2, 4) if kind == "several" else 1
        chosen = [self.random.choice(self.sent["whole" if whole else kind]) for _ in range(count)]
        names = [f"c{self.number}-{self.count}-{place}.jpg" for place in range(count)]
        form = [("photographs", (name, each.content)) for name, each in zip(names, chosen, strict=True)]
        path = "explain" if kind == "explained" else "predict"
        began = time.perf_counter()
        response = await client.post(f"{self.url}/v1/{path}", params={"top": 100}, files=form)
        fault, outcome = _judged(response, chosen, names)
        self.tally.outcomes["fault" if fault else outcome] += 1
        if fault:
            self.tally.faults[f"{kind}: {fault}"] += 1
        elif response.status_code == 200:
            self.tally.seconds.setdefault(kind, []).append(time.perf_counter() - began)
        if response.status_code in _BUSY:
            await asyncio.sleep(self.random.uniform(0.2, 1.0))

    async def _leave(self) -> None:
        """Send half of a request, or all of it, and hang up."""
        content = self.random.choice(self.sent["whole"]).content
        address = httpx.URL(self.url)
        _, writer = await asyncio.open_connection(address.host, address.port)
        head = "POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
        writer.write(
            f"{head}Content-Length: {len(content)}\r\n\r\n".encode()
            + content[: self.random.choice((len(content) // 2, len(content)))]
        )
        await writer.drain()
        await asyncio.sleep(self.random.uniform(0, 0.1))
        writer.close()
        self.tally.outcomes["hung up"] += 1


def _judged(response: httpx.Response, chosen: Sequence[Sent], names: Sequence[str]) -> tuple[str | None, str]:
    """Return what is wrong with a response, if anything is, and what is counted."""
    status = response.status_code
    readable = all(each.expected is not None for each in chosen)
    if status != 200:
        sentence = response.json().get("error", {}).get("sentence", "")
        if not sentence or "\n" in sentence:
            return f"{status} without a sentence", ""
        if status in _BUSY:
            return None, "told to come again"
        wrong = readable or status not in chosen[0].statuses
        return (f"{status} {sentence[:80]}" if wrong else None), "refused"
    if not readable:
        return "answered what cannot be read", ""
    content = response.json()
    answers = content["answers"] if "answers" in content else [content["answer"]]
    if [each["photograph"] for each in answers] != list(names):
        return "mixed up", ""
    for answer, each in zip(answers, chosen, strict=True):
        shares = {ranked["class_name"]: ranked["probability"] for ranked in answer["top"]}
        expected = each.expected or {}
        if shares.keys() != expected.keys() or any(abs(shares[name] - expected[name]) > _CLOSE for name in shares):
            return "wrong answer", ""
    return None, "answered"


async def _load(
    url: str, sent: Mapping[str, Sequence[Sent]], process: int, options: Options
) -> tuple[Tally, list[int]]:
    tally, memory, until = Tally(), list[int](), time.monotonic() + options.seconds
    clients = [
        Client(url, number, sent, until, random.Random(f"{options.seed}-{number}"), tally)
        for number in range(options.clients)
    ]

    async def watch() -> None:
        while True:
            memory.append(_resident(process))
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(each.run() for each in clients))
    watching.cancel()
    return tally, memory


def _resident(process: int, name: str = "VmRSS") -> int:
    """Return how many megabytes a process holds, or held at most."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{name}:"))


def _started(run: Path, errors: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "foveate", "serve", run, "--port", "0", "--per-client", "2", "--queue", "48"]
    with errors.open("w") as stream:
        server = subprocess.Popen([*map(str, command), *_HARDWARE], stdout=subprocess.PIPE, stderr=stream, text=True)
    assert server.stdout is not None
    for line in server.stdout:
        if " answers at " in line:
            return server, line.split(" answers at ")[1].split()[0]
    raise RuntimeError(f"the server did not start: {errors.read_text()[-2000:]}")


_HARDWARE = ("--hardware.accelerator", "cpu", "--hardware.precision", "float32")


def _made(root: Path) -> tuple[Path, list[Path]]:
    """Draw birds and fit a probe; return its run and the test photographs."""
    config = PlumageConfig(species=8, train_per_species=10, test_per_species=5, size=320)
    birds = draw_plumage(root / "birds", config)
    command = [sys.executable, "-m", "foveate", "train", "probe", birds, "--out", root / "run", *_HARDWARE]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    return root / "run", sorted(birds.rglob("*.jpg"))[:60]


def figures(tally: Tally, memory: Sequence[int], peak: int, options: Options, status: int) -> dict[str, Any]:
    """Return what was measured."""
    seconds = {
        kind: [round(float(each), 3) for each in np.quantile(values, (0.5, 0.95, 0.99))]
        for kind, values in sorted(tally.seconds.items())
    }
    return {
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": describe(),
        "clients": options.clients,
        "seconds": options.seconds,
        "seed": options.seed,
        "requests": tally.outcomes.total(),
        "outcomes": dict(sorted(tally.outcomes.items())),
        "faults": dict(tally.faults.most_common()),
        "latency_quantiles_50_95_99": seconds,
        "memory_megabytes": {"before": memory[0], "after": memory[-1], "peak": peak},
        "ended_with": status,
    }


def block(content: Mapping[str, Any]) -> str:
    """Return the table of docs/robustness.md."""
    outcomes, held = content["outcomes"], content["memory_megabytes"]
    rows = [(f"requests, {each}", f"{count:,}") for each, count in outcomes.items()]
    rows += [
        (f"seconds to an answer, {kind}: median, 95%, 99%", ", ".join(f"{each:.2f}" for each in values))
        for kind, values in content["latency_quantiles_50_95_99"].items()
    ]
    rows.append(("megabytes held: before, at most, after", f"{held['before']:,}, {held['peak']:,}, {held['after']:,}"))
    when = (
        f"{content['clients']} clients, {content['seconds']:.0f} s, {content['requests']:,} requests; commit "
        f"{content['commit']}, {content['date']}, {content['hardware']}, seed {content['seed']}."
    )
    faults = "".join(f"- {count} x {fault}\n" for fault, count in content["faults"].items())
    return f"{markdown_table(('of all clients', 'count'), rows)}\n{when}\n" + (
        f"\nWhat did not hold:\n\n{faults}" * bool(faults)
    )


def with_figures(text: str) -> str:
    """Return the document with the block of the last load made anew."""
    if not RESULTS.exists():
        return with_block(text, BEGIN, END, "No figures are kept yet.\n")
    return with_block(text, BEGIN, END, block(json.loads(RESULTS.read_text(encoding="utf-8"))))


def main(options: Options) -> int:
    """Start a server, ask it, stop it, and write what was measured; return 0 where everything held."""
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        run, photographs = _made(Path(folder))
        hardware = HardwareConfig(accelerator="cpu", precision="float32")
        sent = prepared(load(run, hardware=hardware), photographs, options.seed)
        server, url = _started(run, Path(folder) / "errors")
        try:
            tally, memory = asyncio.run(_load(url, sent, server.pid, options))
            memory.append(_resident(server.pid))
            peak = _resident(server.pid, "VmHWM")
            server.send_signal(signal.SIGTERM)
            status = server.wait(60)
        finally:
            server.kill()
        logs = (Path(folder) / "errors").read_text().splitlines()
    tally.faults.update({f"log: {line[:200]}": 1 for line in logs if '"level": "error"' in line or "Traceback" in line})
    content = figures(tally, memory, peak, options, status)
    print(json.dumps(content, indent=2))
    out = options.out or RESULTS
    out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if out == RESULTS:
        DOCUMENT.write_text(with_figures(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    return int(bool(tally.faults) or status != 0)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
