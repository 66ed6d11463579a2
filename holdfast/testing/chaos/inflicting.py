"""Carries out the steps of a schedule in a world."""

from __future__ import annotations

import signal
from contextlib import suppress
from functools import partial
from typing import Final, Literal, assert_never, cast

from holdfast.actors.hub import Hub
from holdfast.actors.outbox import OutboxLimits, limited
from holdfast.clock import SystemClock
from holdfast.errors import DeliveryError, HoldfastError, OutboxFullError
from holdfast.testing.chaos.power import Power
from holdfast.testing.chaos.schedule import Step
from holdfast.testing.chaos.witness import spoil
from holdfast.testing.chaos.world import World
from holdfast.testing.faults.plan import AtPoint, ClockStep, DiskFault, Kill
from holdfast.testing.faults.relaying import Direction
from holdfast.testing.faults.sockets import Does, NetFault
from holdfast.testing.oracle.journal import Journal
from holdfast.testing.processes import Process, send

__all__ = ["Inflicting"]

LOOK: Final = 0.03  # seconds between looks whether a process is there ...
LOOKS: Final = 4  # ... and how many
POINTS: Final = 6  # armed at a time: one that nobody passes gives way
DISK: Final = 20  # operations that one disk fault may hit
SLOW: Final = 0.05  # seconds that a slow operation takes
EXIT: Final = 0.05  # seconds to deliver the message that ends an agent
LIFE: Final = "flood"


class Inflicting:
    """Owns the sender of floods, and knows which failpoints are armed."""

    def __init__(self, world: World, *, seed: int) -> None:
        self._world = world
        self._power = Power(world, seed=seed)
        self._points: list[str] = []
        self._hub: Hub | None = None
        self._journal: Journal | None = None
        self._n = 0

    def inflict(self, step: Step) -> None:
        """Do it, if its target is there now."""
        world = self._world
        match step.do:
            case "kill":
                self._kill(step.to)
            case "root":
                world.kill_root()
            case "point":
                self._arm_point(step)
            case "stop":
                if (process := world.strike(step.to, signal.SIGSTOP)) is not None:
                    world.later(step.seconds, partial(self._go_on, process))
            case "exit":
                self._exit(step)
            case "slow" | "bad":
                amount = step.seconds if step.do == "slow" else step.amount
                spoil(world.folder, step.to, step.do, amount)
                world.note(step.do, step.to)
                world.strike(step.to, signal.SIGKILL)
            case "flood":
                self._flood(step)
            case "client":
                world.note("SIGKILL", "client")
                world.kill_client()
                world.start_client()
            case "power":
                self._power.fail()
                self._points.clear()
            case "disk" | "net" | "clock":
                self._around(step)
            case _:
                assert_never(step.do)
        world.check_root()

    def finish(self) -> None:
        """Have the floods acknowledged."""
        if self._hub is None or self._journal is None:
            return
        try:
            self._hub.flush("committed", timeout=60.0)
            self._journal.flushed(self._n, "committed")
        except HoldfastError as error:
            self._world.violations.append(f"floods are not acknowledged: {error}")
        finally:
            self._hub.abandon()
            self._journal.close()

    # -- what surrounds the processes ----------------------------------------------------------

    def _around(self, step: Step) -> None:
        world, faults = self._world, self._world.daemon.faults
        match step.do:
            case "disk":
                does, operation = step.detail.split()
                fault = DiskFault(
                    does=cast(Literal["full", "ioerr", "slow"], does),
                    operation=cast(Literal["read", "write", "sync"], operation),
                    file=step.to,
                    seconds=SLOW if does == "slow" else 0.0,
                    times=DISK,
                )
                (id,) = faults.arm(fault)
                world.later(step.seconds, partial(faults.disarm, id))
            case "clock":
                (id,) = faults.arm(ClockStep(seconds=float(step.amount)))
                world.later(step.seconds, partial(faults.disarm, id))
            case "net":
                does, way = step.detail.split()
                if world.proxy is not None:
                    world.proxy.inject(
                        NetFault(
                            does=cast(Does, does),
                            to=step.to,
                            direction=cast(Direction, way),
                            seconds=step.seconds,
                        )
                    )

    # -- processes -----------------------------------------------------------------------------

    def _kill(self, name: str) -> None:
        """Also one that is about to come back."""
        for _ in range(LOOKS):
            if self._world.strike(name, signal.SIGKILL) is not None:
                return
            self._world.wait(LOOK)

    def _go_on(self, process: Process) -> None:
        send(process, signal.SIGCONT)

    def _arm_point(self, step: Step) -> None:
        faults = self._world.daemon.faults
        fault = AtPoint(process=step.to, point=step.detail, nth=step.amount, action=Kill())
        self._points += faults.arm(fault)
        if len(self._points) > POINTS:
            faults.disarm(self._points.pop(0))

    def _exit(self, step: Step) -> None:
        self._world.note("exit", step.to, detail=str(step.amount))
        with suppress(DeliveryError):
            self._flooding().ref(step.to).ask(["exit", step.amount], timeout=EXIT)

    def _flood(self, step: Step) -> None:
        hub = self._flooding()
        assert self._journal is not None
        self._world.note("flood", step.to, detail=str(step.amount))
        for _ in range(step.amount):
            self._n += 1
            self._journal.sending("tell", self._n, agent=step.to)
            try:
                hub.ref(step.to).tell([LIFE, self._n])
            except OutboxFullError:
                self._journal.told(self._n, "refused")

    def _flooding(self) -> Hub:
        if self._hub is None:
            path = self._world.journals / f"{LIFE}.jsonl"
            self._journal = Journal(path, life=LIFE, sender=f"chaos/{LIFE}")
            self._hub = Hub(
                run_dir=self._world.daemon.run_dir,
                sender=f"chaos/{LIFE}",
                incarnation="1",
                source=LIFE,
                clock=SystemClock(),
                limits=_limits(),
            )
        return self._hub


def _limits() -> OutboxLimits | None:
    """A flood does not wait for room: what has none is refused."""
    return limited(None, None, "fail", 0.0)
