"""OpenVINO's tests, in a process of their own.

Twice the whole suite ended without a word where they had run in its process, among two thousand others; alone, and
after hundreds of others, they pass (docs/log.md, 2026-11-25). So no other test shares a process with OpenVINO.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_openvino_in_a_process_of_its_own() -> None:
    file = Path(__file__).with_name("runtimes_alone.py")
    # Types are checked by the other tests: without that it imports and runs in three quarters of the time.
    command = [sys.executable, "-m", "pytest", "--quiet", "--override-ini", "addopts=--strict-markers", str(file)]
    done = subprocess.run(command, cwd=file.parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
