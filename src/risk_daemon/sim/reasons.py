"""Why a close or a cancel may arrive: its reason holds, or did a moment ago."""

from __future__ import annotations

from risk_daemon.sim.flight import NEVER_NS
from risk_daemon.sim.moment import NS_PER_S

REASON_LASTS_NS = NS_PER_S  # a request is on its way while its reason may just have gone


class Reasons:
    """What justified a close and a cancel on one account, and when last."""

    def __init__(self) -> None:
        self._holds = {"close": False, "cancel": False}
        self._last_ns = {"close": NEVER_NS, "cancel": NEVER_NS}

    def set(self, *, close: bool, cancel: bool) -> None:
        """What holds from now on."""
        self._holds = {"close": close, "cancel": cancel}

    def keep(self, now_ns: int) -> None:
        """What holds, holds at this moment too."""
        for what, holds in self._holds.items():
            if holds:
                self._last_ns[what] = now_ns

    def has(self, what: str, now_ns: int) -> bool:
        """Whether a request of this kind had a reason within the last second."""
        return now_ns - self._last_ns[what] <= REASON_LASTS_NS

    def any(self) -> bool:
        """Whether anything holds."""
        return any(self._holds.values())
