"""One server of a small Guided Zoom, and one of an S3N run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.serve.service import Service
from serving import loaded, serving


@pytest.fixture(scope="session")
def zoom_service(made: GuidedZoomRun) -> Service:
    return loaded(made.path)


@pytest.fixture(scope="session")
def address(zoom_service: Service) -> Iterator[str]:
    """Of a server of the Guided Zoom."""
    with serving(zoom_service) as url:
        yield url


@pytest.fixture(scope="session")
def birds(plumage: Path) -> list[Path]:
    return sorted(plumage.rglob("*.jpg"))
