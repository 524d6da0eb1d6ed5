"""Lets people in, and has done what they ask for on the page, by the command line's own ways.

Every try is written down: into the journal, and where that is away into the log. What is asked for
is written before it is done, so that nothing is done in nobody's name.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from risk_daemon.clock import Timekeeper
from risk_daemon.console import asking, login
from risk_daemon.console.asking import Asked
from risk_daemon.console.login import Logins, Session
from risk_daemon.console.seen import Seen
from risk_daemon.core.events import ConsoleUsed
from risk_daemon.errors import DaemonError, Denied, OperatorError
from risk_daemon.operations import daemon
from risk_daemon.operations.configuration import passwords
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.releases.under_way import is_back, standing

#: What is told of an outcome in the audit.
TOLD_MAX: Final = 500

_log = logging.getLogger("page")


class Wait(Exception):
    """Too soon after a wrong password."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"a wrong password was given; try again in {seconds} s.")
        self.seconds = seconds


class Stale(Exception):
    """The state is another one than the page showed."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """A session that has begun, and the token that is its only key."""

    session: Session
    token: str


class Desk:
    """The desk of one home."""

    def __init__(self, home: Home, seen: Seen, clock: Timekeeper) -> None:
        self._home, self._seen, self._clock = home, seen, clock
        self._logins = Logins()
        #: One password at a time: trying many at once would be quicker, and take much memory.
        self._one_at_a_time = asyncio.Lock()
        #: Two homes on one machine share the names of cookies: ports are not part of them.
        self.cookie = f"page-{sha256(str(home.path).encode()).hexdigest()[:8]}"

    # --- who ---

    async def people(self) -> bool:
        """Whether anybody could log in."""
        try:
            return bool(await asyncio.to_thread(passwords.people, self._home))
        except Denied:
            return False

    async def enter(self, name: str, password: str) -> Entrance:
        """Let a person in. Raises Denied, or Wait where the last try is too near."""
        async with self._one_at_a_time:
            known = await asyncio.to_thread(passwords.people, self._home)
            whose = name if name in known else ""
            wait_s = self._logins.wait_s(whose, self._clock.steady_ns())
            if wait_s:
                raise Wait(wait_s)
            if not await asyncio.to_thread(passwords.is_right, known, name, password):
                self._logins.failed(whose, self._clock.steady_ns())
                # A name that nobody has may be a password in the wrong field.
                await self._note(whose or "nobody known", "wrong password")
                raise Denied(_wrong(known))
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        session = self._logins.open(name, token, csrf, self._clock.steady_ns())
        await self._note(name, "login")
        return Entrance(session, token)

    async def session(self, token: str) -> Session | None:
        """Return who has shown this token; None also if the person has been let in no more."""
        session = self._logins.of(token, self._clock.steady_ns())
        if session is None:
            return None
        try:
            known = await asyncio.to_thread(passwords.people, self._home)
        except Denied:
            known = {}
        if session.user in known:
            return session
        self._logins.close(token)
        return None

    async def leave(self, token: str) -> None:
        """End a session."""
        session = self._logins.of(token, self._clock.steady_ns())
        self._logins.close(token)
        if session is not None:
            await self._note(session.user, "logout")

    async def check(self, token: str, csrf: str) -> Session:
        """Return who asks. Raises Denied for who is not logged in, or is not our page."""
        session = await self.session(token)
        if session is None:
            raise Denied("you are not logged in any more; nothing was done.")
        if not login.is_shown(session, csrf):
            raise Denied("this was not asked by a page of this session; nothing was done.")
        return session

    # --- what ---

    async def act(self, user: str, asked: Asked) -> Outcome:
        """Have it done. Raises Stale where the state is another one, OperatorError with why not."""
        who = Who(user, asked.reason.strip())
        try:
            outcome = await self._acted(who, asked)
        except Stale:
            await self._note(user, f"refused {asked.action}", who.reason, "the state had changed")
            raise
        except OperatorError as error:
            await self._note(user, f"refused {asked.action}", who.reason, error.sentence)
            raise
        what = "done" if outcome.ok else "failed"
        text = "; ".join(told(asked, outcome))
        await self._note(user, f"{what} {asked.action}", who.reason, text)
        return outcome

    async def _acted(self, who: Who, asked: Asked) -> Outcome:
        now = await self._state(asked.action)
        if not asking.is_as_seen(asked.action, asked.seen, now):
            raise Stale
        about = asked.phase or asked.release
        noted = asyncio.create_task(self._note(who.by, f"asked {asked.action}", who.reason, about))
        if asked.action != asking.FLATTEN:  # an emergency does not wait until it is written
            await noted
        try:
            return await asyncio.to_thread(self._doing(who, asked))
        finally:
            await noted

    async def _state(self, action: str) -> str:
        """Return the state as it is, and not as it was seen last."""
        if action == asking.FLATTEN:  # with everything dead it must work all the same
            return asking.accounts_key(self._seen.status)
        found = await asyncio.to_thread(standing, self._home)
        self._seen.take_rollout(found)
        return asking.rollout_key(found)

    def _doing(self, who: Who, asked: Asked) -> Callable[[], Outcome]:
        home = self._home

        def do() -> Outcome:
            # Imported here: a console that only shows stays small.
            from risk_daemon.operations.accounts import emergency
            from risk_daemon.operations.rollouts import deploying, moving

            if asked.action == asking.FLATTEN:
                return emergency.flatten_all(home, who)
            if asked.action == asking.ROLLBACK:
                found = standing(home)
                if found and not is_back(found) and found["fallback"] == asked.release:
                    return deploying.wish(home, "abort", who, dry_run=False)
                return moving.move(home, asked.release, None, who, dry_run=False, is_back=True)
            named = {"phase": asked.phase} if asked.action in ("promote", "approve") else {}
            return deploying.wish(home, asking.VERBS[asked.action], who, dry_run=False, **named)

        return do

    # --- the audit ---

    async def _note(self, by: str, what: str, reason: str = "", text: str = "") -> None:
        fact = ConsoleUsed(by=by, what=what, reason=reason, text=text[:TOLD_MAX])
        fields: dict[str, Any] = {"by": by, "what": what, "reason": reason, "text": text}
        _log.info("page used", extra=fields)
        try:
            await asyncio.to_thread(daemon.append, self._home, fact)
        except DaemonError as error:  # an emergency does not wait for the journal: the log has it
            _log.warning("not in the journal", extra=fields | {"why": str(error)})


def told(asked: Asked, outcome: Outcome) -> tuple[str, ...]:
    """Return what the page says came of it: of a rollout its first line, for it shows the rest."""
    lines = (*outcome.above, *outcome.lines, *outcome.below, *outcome.notes)
    return lines[:1] if asked.action in asking.VERBS else lines


def _wrong(known: dict[str, str]) -> str:
    if known:
        return "the name or the password is wrong; it was noted."
    return (
        "nobody has a password yet; set one in a terminal of this machine: "
        "`risk-daemon-admin dashboard password --user NAME`."
    )
