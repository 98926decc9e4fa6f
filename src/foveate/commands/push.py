"""`foveate push`: a run or a Guided Zoom, for others."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from foveate.commands import existence
from foveate.workflows.hub.address import check_name
from foveate.workflows.hub.licence import Licence


@dataclass(frozen=True, kw_only=True)
class Push:
    """Share a run or a Guided Zoom on the Hugging Face Hub, with a model card; others load it as hf://user/name.

    Weights, settings, calibration and held-out answers go; no photograph, no name of one, no path of this machine. You
    are who `hf auth login` says, or HF_TOKEN.
    """

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN_OR_ZOOM")]
    """The run folder, or a Guided Zoom's."""
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="USER/NAME")]
    """On the hub."""
    licence: Annotated[str | None, tyro.conf.arg(aliases=["--license"])] = None
    """What others may do with it, in the hub's word: apache-2.0, cc-by-4.0, cc-by-nc-4.0 and so on, or other. It must
    be given."""
    licence_name: Annotated[str | None, tyro.conf.arg(aliases=["--license-name"])] = None
    """Of the licence other."""
    licence_link: Annotated[str | None, tyro.conf.arg(aliases=["--license-link"])] = None
    """Where the licence other stands, https://... ."""
    public: bool = False
    """Whether everybody sees it; else you alone do, until you open it on its page."""
    update: bool = False
    """Whether a model that was pushed before is replaced; what it was stays in its history."""
    dry_run: Path | None = None
    """A new folder: what would go is written there to be looked at, and nothing leaves this machine."""

    def run(self) -> None:
        """Do it.

        Raises:
            UserError: Something the user can mend: see its message.
        """
        check_name(self.name)
        Licence.given(self.licence, self.licence_name, self.licence_link)
        existence.check_run_or_zoom(self.run_folder)
        from foveate.workflows.hub.push import push

        push(
            self.run_folder,
            self.name,
            licence=self.licence,
            licence_name=self.licence_name,
            licence_link=self.licence_link,
            public=self.public,
            update=self.update,
            dry_run=self.dry_run,
        )
