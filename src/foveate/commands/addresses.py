"""Results that a command line sends to an address of a storage, such as s3://bucket/runs/birds."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from foveate.errors import UserError
from foveate.files.remote_path import RemotePath

_WRITTEN_HERE = ("results", "sheet", "dry_run", "api_key_file", "tuned_by")
"""Fields of commands that name files on this machine."""


def run_with_addresses(command: Any) -> None:
    """Run a command; what it writes to an address is made here and then uploaded.

    Raises:
        UserError: As the command, or as `foveate.workflows.storage.upload.going_to`; or what must lie on this machine
            is an address.
    """
    named = {each.name: getattr(command, each.name) for each in fields(command)} if is_dataclass(command) else {}
    for name in _WRITTEN_HERE:
        if isinstance(named.get(name), RemotePath):
            raise UserError(f"{name} must be a file or a folder on this machine; got {named[name]}; copy it afterwards")
    out = named.get("out")
    if not isinstance(out, RemotePath):
        command.run()
        return
    if str(getattr(command, "share", "0/1")).rpartition("/")[2].strip() != "1":
        raise UserError(
            f"a share of a pool is no result by itself; got --share {command.share} and --out {out}; build all shares "
            "in a folder that they see, and copy it"
        )
    hardware = getattr(command, "hardware", None) or getattr(getattr(command, "config", None), "hardware", None)
    if getattr(hardware, "nodes", 1) > 1:
        raise UserError(
            f"a training on several machines writes to a folder that they all see; got --out {out}; name a folder, and "
            "copy it afterwards"
        )
    from foveate.hardware import first_process
    from foveate.workflows.storage.upload import going_to, work_folder

    if not first_process():  # of several that train together one uploads
        replace(command, out=work_folder(out) / out.name).run()
        return
    with going_to(out, repr(command), stays=getattr(hardware, "devices", 1) > 1) as place:
        if place is not None:
            replace(command, out=place).run()
