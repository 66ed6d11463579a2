"""The daemon: the process that becomes the root of the tree, from config file to exit code.

Owns both directories and every listener for its life.  Lost when it is killed: the process tree,
within a millisecond or two; the kernel releases the locks, and the next root replaces the files.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, partial
from importlib import metadata
from pathlib import Path

from loguru import logger

from holdfast.actors.host import construct, run
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.supervisor import ChildStatus, Tree, decode_request
from holdfast.clock import Clock, SystemClock
from holdfast.errors import ConfigError, StartError
from holdfast.supervisors.child import fork_zygote
from holdfast.supervisors.config import load_settings
from holdfast.supervisors.linux import adopt_orphans, children_of_this_process
from holdfast.supervisors.listeners import Listeners
from holdfast.supervisors.locks import (
    DirectoryLock,
    next_boot,
    prepare_data_dir,
    prepare_run_dir,
)
from holdfast.supervisors.logs import configure_logging, sign_log
from holdfast.supervisors.plan import environment_of, root_spec
from holdfast.supervisors.processes import Processes
from holdfast.supervisors.reports import Reports
from holdfast.supervisors.roles import address_book
from holdfast.supervisors.signals import SignalPipe
from holdfast.supervisors.spec import EXIT_CONFIG, EXIT_STOPPED, Environment, SupervisorSpec
from holdfast.supervisors.supervision import Supervision, Upward
from holdfast.supervisors.supervisor import RootActor
from holdfast.supervisors.zygote import Zygote

__all__ = ["run_root", "run_tree"]

ROOT = "root"
PID_FILE = "root.pid"


def run_tree(
    config: Path,
    *,
    data_dir: Path | None = None,
    run_dir: Path | None = None,
    on_ready: Callable[[], None] | None = None,
) -> int:
    """Run the daemon that a config file describes; its exit code when it has stopped.

    Prints one line on standard output when every child is ready.  Raises ConfigError,
    AlreadyRunningError, StorageError, StartError; then nothing of the daemon is left.
    """
    settings = load_settings(config)
    spec = root_spec(settings)
    data, runs = (
        (given or Path(configured)).absolute()
        for given, configured in (
            (data_dir, settings.daemon.data_dir),
            (run_dir, settings.daemon.run_dir),
        )
    )
    environment = environment_of(settings, data_dir=data, run_dir=runs)

    def announce() -> None:
        print(f"ready {environment.daemon} pid={os.getpid()} run_dir={runs}", flush=True)
        if on_ready is not None:
            on_ready()

    return run_root(spec, environment, on_ready=announce)


def run_root(
    spec: SupervisorSpec, environment: Environment, *, on_ready: Callable[[], None]
) -> int:
    """Run a tree of specs as the root, on the main thread of a process with no other.

    0 stopped, or complete (auto_shutdown); 5 gave up; 130 and 143 interrupted before it was ready,
    or once more while it stopped.  Raises as ``run_tree``.
    """
    configure_logging(environment.log_level)
    sign_log(ROOT)
    zygote = fork_zygote(ROOT)  # nothing is open yet that a child could inherit
    with ExitStack() as stack:
        stack.callback(_end_everything)
        stack.callback(zygote.close)
        adopt_orphans()
        signals = SignalPipe([signal.SIGCHLD, signal.SIGINT, signal.SIGTERM])
        stack.callback(signals.close)
        data_dir, run_dir = Path(environment.data_dir), Path(environment.run_dir)
        _own(stack, data_dir, run_dir)
        listeners = Listeners(run_dir)
        stack.callback(listeners.close)
        stack.callback(listeners.sweep)
        listeners.open([ROOT, *spec.descendants()])
        failures: list[str] = []
        actor = _root_actor(
            spec,
            environment,
            boot=next_boot(data_dir),
            zygote=zygote,
            signals=signals,
            listeners=listeners,
            upward=Upward(ready=on_ready, failed=failures.append, below=lambda *_: None),
            clock=SystemClock(),
        )
        failure = run(actor)
        if failure is not None:
            logger.opt(exception=failure).critical("the root failed")
            raise failure
    if failures:
        raise (ConfigError if actor.supervision.exit_code == EXIT_CONFIG else StartError)(
            "\n".join(failures)
        )
    if actor.interrupted_by is not None:
        return 128 + actor.interrupted_by
    return EXIT_STOPPED if actor.supervision.is_complete else actor.supervision.exit_code


def _own(stack: ExitStack, data_dir: Path, run_dir: Path) -> None:
    """Lock both directories, and leave this pid in the run directory."""
    prepare_data_dir(data_dir)
    stack.callback(DirectoryLock(data_dir).release)
    prepare_run_dir(run_dir)
    if not run_dir.samefile(data_dir):
        stack.callback(DirectoryLock(run_dir).release)
    pid_file = run_dir / PID_FILE
    pid_file.write_text(f"{os.getpid()}\n")
    stack.callback(pid_file.unlink, missing_ok=True)


def _root_mailbox(
    incarnation: str, listeners: Listeners, environment: Environment, clock: Clock
) -> Mailbox:
    return Mailbox(
        name=ROOT,
        incarnation=incarnation,
        clock=clock,
        listener=listeners.sockets[ROOT],
        address=address_book(environment.run_dir),
        decode=decode_request,
    )


def _root_actor(
    spec: SupervisorSpec,
    environment: Environment,
    *,
    boot: int,
    zygote: Zygote,
    signals: SignalPipe,
    listeners: Listeners,
    upward: Upward,
    clock: Clock,
) -> RootActor:
    mailbox = _root_mailbox(str(boot), listeners, environment, clock)
    processes = Processes(
        mailbox=mailbox,
        zygote=zygote,
        fork_zygote=partial(fork_zygote, ROOT),
        signals=signals,
    )
    supervision = Supervision(
        name=ROOT,
        incarnation=str(boot),
        spec=spec,
        environment=environment,
        mailbox=mailbox,
        processes=processes,
        listeners=listeners,
        reports=Reports.of(ROOT, environment, mailbox, clock),
        upward=upward,
        clock=clock,
        random=random.random,
    )
    describe = partial(_describe, environment.daemon, clock, clock.monotonic())
    return construct(
        RootActor,
        mailbox=mailbox,
        supervision=supervision,
        boot=boot,
        within=environment.stop_within,
        describe=describe,
    )


def _describe(daemon: str, clock: Clock, began: float, root: ChildStatus) -> Tree:
    version, sqlite_version = _versions()
    return Tree(daemon, version, sqlite_version, clock.monotonic() - began, root)


@cache
def _versions() -> tuple[str, str]:
    """Of holdfast and of SQLite; the root loads apsw for nothing else, 7 ms when first asked."""
    import apsw

    return metadata.version("holdfast"), apsw.sqlite_lib_version()


def _end_everything() -> None:
    """The last thing a root does, also when it failed: nothing below it is left.

    This waits, for nobody is served any more.
    """
    while children := children_of_this_process():
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
