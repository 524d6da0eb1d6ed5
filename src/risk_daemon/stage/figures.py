"""What the host itself costs: without it, a latency figure says nothing."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Final

from risk_daemon.clock import Clock

TRIES: Final = 100
NOISY_FSYNC_MS: Final = 5.0


def host(folder: Path) -> dict[str, float]:
    """Measure a flush of 4 KiB in a folder, and a round trip over loopback; 95th percentiles."""
    return {"fsync_p95_ms": _fsync(folder), "loopback_p95_ms": _loopback()}


def quantile(samples: list[float], share: float) -> float | None:
    """Return a quantile by nearest rank."""
    if not samples:
        return None
    ordered = sorted(samples)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def summary(samples: list[float]) -> dict[str, float | int | None]:
    """Return count, median, tails and maximum."""
    found: dict[str, float | int | None] = {"n": len(samples)}
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
        found[name] = quantile(samples, share)
    return found


def _fsync(folder: Path) -> float:
    clock, samples = Clock(), []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(TRIES):
            began = clock.steady_ns()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            samples.append((clock.steady_ns() - began) / 1e6)
    return round(quantile(samples, 0.95) or 0.0, 2)


def _loopback() -> float:
    clock, samples = Clock(), []
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        for end in (client, peer):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(TRIES):
            began = clock.steady_ns()
            client.sendall(b"x")
            peer.sendall(peer.recv(1))
            client.recv(1)
            samples.append((clock.steady_ns() - began) / 1e6)
        client.close()
        peer.close()
    return round(quantile(samples, 0.95) or 0.0, 3)
