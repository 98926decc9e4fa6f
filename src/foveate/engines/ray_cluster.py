"""The package ray, imported when it is needed, and the cluster that it speaks to."""

from __future__ import annotations

import os
import socket
import warnings
from importlib import import_module
from typing import Any

from foveate.config.engine import EngineConfig
from foveate.errors import UserError
from foveate.hardware import processors

_ATTEMPTS, _LINE = 3, "\n"
_PATIENCE = 5.0  # seconds for a machine to answer
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to anybody
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # what is wrong comes as an error
    "RAY_worker_niceness": "0",  # at Ray's own 15 whatever else runs here would stop the work
    "RAY_DATA_LOG_LEVEL": "CRITICAL",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
_CARRIED = "FOVEATE_PRECISION"
"""What the environment of this process says to all others of a cluster."""


def connected(config: EngineConfig) -> Any:
    """Return the package ray, connected to the cluster: the one of this process, where it has one already.

    Where no address is given, one is started on this machine; it ends with this process.

    Raises:
        UserError: The package is not installed, or no cluster answers at the address.
    """
    if config.address is not None:
        _check_answers(config.address)
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    ray = _package()
    if not ray.is_initialized():
        _connect(ray, config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own settings
        context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    return ray


def _package() -> Any:
    try:
        import_module("ray.data")
        return import_module("ray")
    except ImportError as error:
        raise UserError(
            "--engine ray is the package ray with its data; it is not installed; pip install 'foveate[ray]'"
        ) from error


def _connect(ray: Any, config: EngineConfig) -> None:
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    if config.address is None:
        _start(ray, address="local", num_cpus=processors(), **quiet)  # not one that runs here beside it
        return
    carried = {_CARRIED: os.environ[_CARRIED]} if _CARRIED in os.environ else {}
    try:
        ray.init(address=config.address, runtime_env={"env_vars": carried}, **quiet)
    except Exception as error:  # of many kinds
        raise _no_cluster(config.address, str(error).partition(_LINE)[0][:200]) from error


def _start(ray: Any, **settings: Any) -> None:
    """Start a cluster on this machine, which fails on a busy one where it takes longer than 30 seconds."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            ray.init(**settings)
        except Exception as error:  # Ray raises the bare class
            ray.shutdown()
            if attempt == _ATTEMPTS:
                raise UserError(
                    f"Ray must start on this machine; it does not ({str(error).partition(_LINE)[0][:200]}); free its "
                    "memory and processors, or give the --address of a cluster that runs"
                ) from error
        else:
            return


def _check_answers(address: str) -> None:
    """Refuse an address that nobody listens at, which Ray would go on asking for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local"):
        return
    if not colon or not host or not port.isdecimal():
        raise UserError(
            f"address must be host:port, such as 10.0.0.1:6379, or `auto` on a machine of the cluster; got {address!r}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, reason: str) -> UserError:
    return UserError(
        f"a Ray cluster must answer at the address; {address} does not ({reason}); start one there with `ray start "
        "--head`, check the address, or leave --address out to use this machine"
    )
