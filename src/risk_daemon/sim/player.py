"""Plays a scenario: each step when it is due, through the door of the control port's wishes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from risk_daemon.sim.timeline import Scenario, Step
from risk_daemon.sim.wishes import REFUSALS, Wish

_LOOK_EVERY_S = 0.02


class Player:
    """Plays one scenario from now on; `do` grants a wish by its name."""

    def __init__(
        self,
        do: Callable[[str, Wish], Awaitable[object]],
        is_whole: Callable[[], bool],
        scenario: Scenario,
    ) -> None:
        self._do, self._is_whole, self._scenario = do, is_whole, scenario
        self._answers: list[object] = []
        self._began = False
        self._task = asyncio.create_task(self._play(scenario))

    def end(self) -> None:
        """Play no more."""
        self._task.cancel()

    def told(self) -> dict[str, object]:
        """How far it is, for the control port."""
        return {
            "steps": len(self._scenario.steps),
            "began": self._began,
            "done": len(self._answers),
            "is_over": self._task.done(),
            "answers": self._answers,
        }

    async def _play(self, scenario: Scenario) -> None:
        if scenario.begins == "whole":
            await self._whole()
        began_s, self._began = time.monotonic(), True
        for step in scenario.steps:
            await asyncio.sleep(max(0.0, began_s + step.at_s - time.monotonic()))
            self._answers.append(await self._answer(step))

    async def _whole(self) -> None:
        while True:
            if self._is_whole():
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _answer(self, step: Step) -> object:
        try:
            return await self._do(step.verb, step.wish)
        except REFUSALS as refused:
            # Checked before, but the world may have changed: the others are played all the same.
            return {"error": f"{step.verb} at {step.at_s:g} s: {refused}"}
