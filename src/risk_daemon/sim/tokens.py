"""Tokens, negotiated connection ids and the request budget: who may come in, and how often.

Pure. The token has the shape of a JWT because clients decode its `exp`. That claim is in *real*
time even when the exchange's clock is shifted: it is the client's own clock that reads it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import deque

from risk_daemon.sim.moment import NS_PER_S

TOKEN_LIFE_S = 24 * 3600
SHORT_LIFE_S = 2.0  # of tokens while `token_life` is on and says nothing else
RATE_MAX, RATE_WINDOW_S = 200, 60
BARS_MAX, BARS_WINDOW_S = 50, 30


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenDesk:
    """Issues tokens and knows which are good."""

    def __init__(self, seed: int) -> None:
        self._key = hashlib.sha256(f"simgate {seed}".encode()).digest()
        self._good: dict[str, tuple[str, float]] = {}
        self._spoiled: dict[str, str] = {}
        self._count = 0

    def issue(self, login: str, real_s: float, life_s: float = TOKEN_LIFE_S) -> str:
        """A new token for a login; earlier ones stay good."""
        self._count += 1
        claims = {
            "sub": login,
            "jti": f"{self._count:08d}",
            "iat": int(real_s),
            "exp": int(real_s + life_s),
            "iss": "simgate",
        }
        head = _part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        body = _part(json.dumps(claims).encode())
        seal = hmac.new(self._key, f"{head}.{body}".encode(), hashlib.sha256).digest()
        token = f"{head}.{body}.{_part(seal)}"
        self._good[token] = (login, real_s + life_s)
        return token

    def login_of(self, token: str | None, real_s: float) -> str | None:
        """Whose good token this is, or None."""
        found = self._good.get(token or "")
        return found[0] if found and real_s < found[1] else None

    def revoke(self, login: str | None) -> None:
        """All tokens of a login (or of everybody) are worthless from now on."""
        self._good = {
            token: owner
            for token, owner in self._good.items()
            if login is not None and owner[0] != login
        }

    def shorten(self, login: str | None, real_s: float, life_s: float) -> None:
        """Tokens given out so far live no longer than this, whatever their `exp` says."""
        self._good = {
            token: (owner, min(ends, real_s + life_s) if login in (None, owner) else ends)
            for token, (owner, ends) in self._good.items()
        }

    def spoil(self, login: str | None, only: str) -> None:
        """Tokens given out so far are refused for `changes`, `reads` or `all`; later ones not."""
        self._spoiled |= {
            token: only for token, (owner, _) in self._good.items() if login in (None, owner)
        }

    def is_spoiled(self, token: str, *, changes: bool) -> bool:
        """Whether this good token is refused for a change (or a read)."""
        return self._spoiled.get(token) in ("all", "changes" if changes else "reads")

    def forget(self, token: str) -> None:
        """A logout."""
        self._good.pop(token, None)


class Budget:
    """Two sliding windows of one login: everything, and bar history."""

    def __init__(self) -> None:
        self._hits: dict[str, deque[int]] = {"all": deque(), "bars": deque()}

    def take(self, kind: str, now_ns: int) -> bool:
        """Count one request; False when it is one too many (it is then not counted)."""
        most, window_s = (BARS_MAX, BARS_WINDOW_S) if kind == "bars" else (RATE_MAX, RATE_WINDOW_S)
        hits = self._hits[kind]
        self._forget_old(hits, now_ns, window_s)
        if len(hits) >= most:
            return False
        hits.append(now_ns)
        return True

    def used(self, kind: str, now_ns: int) -> int:
        """Requests in the window now."""
        window_s = BARS_WINDOW_S if kind == "bars" else RATE_WINDOW_S
        self._forget_old(self._hits[kind], now_ns, window_s)
        return len(self._hits[kind])

    @staticmethod
    def _forget_old(hits: deque[int], now_ns: int, window_s: int) -> None:
        while hits and hits[0] <= now_ns - window_s * NS_PER_S:
            hits.popleft()
