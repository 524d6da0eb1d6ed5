"""A process of the simulated daemon: one input at a time, and its effects one after the other.

Before and after each effect it may be killed, frozen or held up. What its machine decided
is then done in part: that is the whole point.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from risk_daemon.proving.chance import Offer
from risk_daemon.proving.clockwork import MS, SECOND

if TYPE_CHECKING:
    from risk_daemon.proving.world import World

type Call = tuple[Callable[..., None], tuple[Any, ...]]

AT_EFFECT: Final = Offer(
    0.006,
    (
        ("kill", 0, 0),
        ("kill-after", 0, 0),
        ("freeze", 20 * MS, 3 * SECOND),
        ("slow", 5 * MS, 200 * MS),
        ("slow", 5 * MS, 200 * MS),
        ("slow", 5 * MS, 200 * MS),
    ),
)
#: A request leaves for the broker: what its sender does not live to say, nobody else knows.
AT_SEND: Final = Offer(
    0.05,
    (
        ("kill", 0, 0),
        ("kill-after", 0, 0),
        ("kill-after", 0, 0),
        ("freeze", 20 * MS, 3 * SECOND),
        ("slow", 5 * MS, 200 * MS),
    ),
)
SENDS: Final = "requests "


class Shell:
    """What all processes have in common. `life` counts starts; what is for another is lost."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.life = 0
        self.is_alive = self.is_frozen = self.is_held_up = False
        self.clock = world.host.clock()
        self._inbox: deque[Call] = deque()
        self._todo: deque[tuple[str, Callable[..., None], tuple[Any, ...]]] = deque()
        self._is_judged = False

    # --- life and death -------------------------------------------------------

    def start(self) -> None:
        """Begin a new life."""
        self.life += 1
        self.is_alive, self.is_frozen, self.is_held_up = True, False, False
        self._is_judged = False
        self.clock = self.world.host.clock()
        self.world.tell(self.name, "starts", "")
        self.begin()
        self._go()

    def begin(self) -> None:
        """Do what a new process does first."""

    def kill(self) -> None:
        """End at once: nothing of what was still to be done is done."""
        if not self.is_alive:
            return
        self.is_alive = False
        self._inbox.clear()
        self._todo.clear()
        self.world.tell(self.name, "dies", "")
        self.world.died(self)

    def freeze(self, wait: int) -> None:
        """Stand still for a while; what comes in waits."""
        self.is_frozen = True
        self.world.clockwork.after(wait, self._thaw, self.life)

    def _thaw(self, life: int) -> None:
        if life == self.life and self.is_alive:
            self.is_frozen = self.is_held_up = False
            self._go()

    # --- inputs and effects ----------------------------------------------------

    def take(self, call: Callable[..., None], *args: Any) -> None:
        """Take an input, now or when there is time for it."""
        if not self.is_alive:
            return
        self._inbox.append((call, args))
        if len(self._inbox) == 1 and not self._todo:
            self._go()

    def later(self, wait: int, call: Callable[..., None], *args: Any) -> None:
        """Take an input of one's own after a while."""
        self.world.clockwork.after(wait, self._due, self.life, call, args)

    def _due(self, life: int, call: Callable[..., None], args: tuple[Any, ...]) -> None:
        if life == self.life:
            self.take(call, *args)

    def do(self, what: str, call: Callable[..., None], *args: Any) -> None:
        """Do something to the world, after what is already to be done."""
        self._todo.append((what, call, args))

    def send(self, to: Shell, call: Callable[..., None], *args: Any) -> None:
        """Send a message, as an effect."""
        self.do(f"to {to.name}", self.world.send, self, to, to.life, call, args)

    def _go(self) -> None:
        todo, inbox = self._todo, self._inbox
        while self.is_alive and not (self.is_frozen or self.is_held_up):
            if todo:
                if not self._is_judged and self._is_stopped(todo[0][0]):
                    return
                _, call, args = todo.popleft()
                self._is_judged = False
                call(*args)
            elif inbox:
                call, args = inbox[0]
                call(*args)
                if inbox:  # not if that was the end
                    inbox.popleft()
            else:
                return

    def _is_stopped(self, what: str) -> bool:
        """Let chance have its word before an effect, once."""
        self._is_judged = True
        chance = self.world.chance
        fault = chance.at(AT_SEND if what.startswith(SENDS) else AT_EFFECT)
        self.world.effects.append(chance.points)
        if fault is None:
            return False
        kind = fault.kind
        self.world.fault(f"{'killed' if 'kill' in kind else kind}", self.name, f"{kind} {what}")
        if kind == "kill-after":
            _, call, args = self._todo.popleft()
            call(*args)
        if kind in ("kill", "kill-after"):
            self.kill()
        elif kind == "freeze":
            self.freeze(fault.amount)
        else:
            self.is_held_up = True
            self.world.clockwork.after(fault.amount, self._thaw, self.life)
        return True
