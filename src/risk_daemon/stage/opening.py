"""A simulated gateway with a crowd at it and a daemon's home founded on it, in a scratch folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from risk_daemon.clock import Clock
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway, wednesday_offset_s


def open_all(
    stack: ExitStack,
    name: str,
    crowd: Crowd,
    seed: int,
    keep: Path | None = None,
    prepare: Callable[[Path], None] = lambda home: None,  # noqa: ARG005
) -> tuple[Gateway, Daemon]:
    """Open the gateway and found the home, not started; the stack closes them, the daemon first.

    `prepare` is given the home's path before anything is in it; `keep` is a folder that stays.
    """
    folder = keep or Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix=f"risk-daemon-{name}-"))
    )
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / f"{name}.yaml"
    config.write_text(crowd.scenario())
    offset_s = wednesday_offset_s(Clock())
    gateway = Gateway(folder, config=config, seed=seed, offset_s=offset_s)
    stack.callback(gateway.stop)
    daemon = Daemon(folder / "home")
    prepare(daemon.home)
    stack.callback(daemon.stop)
    daemon.found(gateway, offset_s)
    return gateway, daemon
