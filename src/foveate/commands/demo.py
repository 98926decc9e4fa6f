"""`foveate demo`: the whole way on drawn birds."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Draw birds, train on them, compare, refine, and write a report to open: minutes on two cores."""

    out: Path = Path("demo")
    """Folder for everything that is made; what an earlier call finished is used again."""

    def run(self) -> None:
        """Do it."""
        from foveate.workflows.demo import demo

        demo(self.out)
