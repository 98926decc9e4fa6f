"""The hub's own client, imported when it is needed, and what it says in words that tell what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from foveate.errors import UserError

_SIGN_IN = "sign in with `hf auth login`, or set HF_TOKEN to a token of huggingface.co/settings/tokens"


def hub() -> Any:
    """Return the package huggingface_hub.

    Raises:
        UserError: It is not installed.
    """
    try:
        return import_module("huggingface_hub")
    except ImportError as error:
        raise UserError(
            "models go to and come from the hub by the package huggingface_hub; it is not installed; "
            "pip install 'foveate[hub]'"
        ) from error


def api() -> Any:
    """Return what speaks to the hub, or to the one that HF_ENDPOINT names; who asks is the client's business."""
    return hub().HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="foveate")


@contextmanager
def told(address: object) -> Iterator[None]:
    """Say in our words what the client raises about a model.

    Raises:
        UserError: The hub cannot be reached, does not have the model or the file, or does not let us.
    """
    hub()
    errors = import_module("huggingface_hub.errors")
    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(
            f"whoever loads {address} must have been let in by its owner; you were not; ask on its page, and {_SIGN_IN}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(
            f"a revision is a branch, a tag or a commit of the model; {address} names none; leave it out, or look it up"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"a model must be on the hub, and open to you; {address} is not; check the name; where it is private, "
            f"{_SIGN_IN}"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise UserError(
            f"a model that is not on this machine yet is fetched from the hub, which does not answer; {address} is not "
            "here; check the connection (and HF_ENDPOINT and HF_HUB_OFFLINE, where they are set)"
        ) from error
    except errors.EntryNotFoundError as error:
        raise UserError(
            f"a model for `foveate.load` is one that `foveate push` wrote, with a foveate.json; {address} has none, or "
            "lacks a file that it lists; check the name, or ask its owner to push it again"
        ) from error
    except (errors.HfHubHTTPError, errors.HTTPError, ConnectionError) as error:
        raise refused(address, error) from error


def refused(address: object, error: BaseException) -> UserError:
    """Return the error of a request about a model that failed, as `told` raises it."""
    errors = import_module("huggingface_hub.errors")
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
    if status in (401, 403):
        return UserError(f"the hub lets only its owner write {address}; it refused ({status}); {_SIGN_IN}")
    if status == 409:
        return UserError(f"a model on the hub is not replaced unasked; {address} is there; choose another name")
    if status == 412:
        return UserError(
            f"a push is of what was there when it began; {address} has changed since; look at it, and push again"
        )
    if status is None:
        return UserError(
            f"the hub must answer; asked about {address}, it does not ({reason[0][:200]}); check the connection (and "
            "HF_ENDPOINT, where it is set)"
        )
    return UserError(
        f"the hub must take the request about {address}; it answers {status} ({reason[0][:200]}); try later"
    )
