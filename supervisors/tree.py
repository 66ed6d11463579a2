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
from pathlib import Path

import msgspec
from loguru import logger

from holdfast.actors.host import construct, run
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.supervisor import ChildStatus, Tree, decode_request
from holdfast.actors.recorder import FlightRecorder
from holdfast.clock import Clock, SystemClock
from holdfast.errors import ConfigError, StartError
from holdfast.supervisors.backends import check_backend
from holdfast.supervisors.child import fork_zygote
from holdfast.supervisors.commit_point import Obeyed, obey, settle
from holdfast.supervisors.config_file import ConfigFile
from holdfast.supervisors.directories import prepare_data_dir, prepare_run_dir
from holdfast.supervisors.guardian import Guardian
from holdfast.supervisors.holding import Holding
from holdfast.supervisors.limits import leave_no_core, widen_descriptors
from holdfast.supervisors.linux import adopt_orphans, children_of_this_process
from holdfast.supervisors.listeners import Listeners
from holdfast.supervisors.lives import Badge, new_life
from holdfast.supervisors.locks import DirectoryLock, next_boot, private_file
from holdfast.supervisors.logfiles import check_log_dir, prepare_log_dir
from holdfast.supervisors.logs import configure_logging, log_to, set_log_level, sign_log
from holdfast.supervisors.memory_folder import make_memory_folder, remove_memory_folder
from holdfast.supervisors.notify import Notifier
from holdfast.supervisors.output import Output
from holdfast.supervisors.processes import Processes
from holdfast.supervisors.reloading import Reloading
from holdfast.supervisors.reports import Reports
from holdfast.supervisors.roles import address_book
from holdfast.supervisors.signals import SignalPipe
from holdfast.supervisors.spec import (
    EXIT_CONFIG,
    EXIT_SHUTDOWN,
    EXIT_STOPPED,
    Environment,
    SupervisorSpec,
    Terms,
)
from holdfast.supervisors.supervision import Given, Supervision, Upward
from holdfast.supervisors.supervisor import RootActor
from holdfast.supervisors.swapping import Swapping
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
    file = ConfigFile(config, data_dir=data_dir, run_dir=run_dir)
    obeyed = obey(file.read())
    read, environment = obeyed.read, obeyed.read.environment

    def announce() -> None:
        where = environment.run_dir
        print(f"ready {environment.daemon} pid={os.getpid()} run_dir={where}", flush=True)
        if on_ready is not None:
            on_ready()

    return run_root(read.spec, environment, on_ready=announce, config=Config(file, obeyed))


class Config(msgspec.Struct, frozen=True):
    """The file of a daemon, and what it was at the start."""

    file: ConfigFile
    obeyed: Obeyed


def run_root(
    spec: SupervisorSpec,
    environment: Environment,
    *,
    on_ready: Callable[[], None],
    config: Config | None = None,
) -> int:
    """Run a tree of specs as the root, on the main thread of a process with no other.

    ``config`` is what they were made of; without it there is no reload.
    0 stopped, or complete (auto_shutdown); 5 gave up; 130 and 143 interrupted before it was ready,
    or once more while it stopped.  Raises as ``run_tree``.
    """
    configure_logging(environment.log_level)
    sign_log(ROOT)
    notifier = Notifier.taken_from(os.environ)  # before anything is forked
    failures: list[str] = []
    with ExitStack() as stack:
        kin = _fork_first(stack)
        signals = SignalPipe(_signals())
        stack.callback(signals.close)
        _own(stack, environment, config)
        output = _begin_output(stack, environment)
        boot = next_boot(Path(environment.data_dir))
        listeners = _listeners(stack, Path(environment.run_dir), [ROOT, *spec.descendants()])
        actor = _root_actor(
            spec,
            environment,
            boot=boot,
            kin=kin,
            signals=signals,
            listeners=listeners,
            output=output,
            upward=_upward(environment, on_ready, failures, notifier),
            clock=SystemClock(),
            config=config,
            notifier=notifier,
        )
        notifier.keep_alive(actor.mailbox)
        failure = run(actor)
        if failure is not None:
            logger.opt(exception=failure).critical("the root failed")
            raise failure
    return _left(actor.supervision.terms.environment, _exit_code(actor, failures))


def _left(environment: Environment, code: int) -> int:
    """A database in memory goes with a daemon that ended in order."""
    if environment.backend == "memory" and code not in (EXIT_SHUTDOWN, EXIT_CONFIG):
        remove_memory_folder(Path(environment.database).parent)
    return code


def _signals() -> list[signal.Signals]:
    """What the root is told by; under nohup the end of the terminal is not among it."""
    numbers = [signal.SIGCHLD, signal.SIGINT, signal.SIGTERM]
    is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return numbers if is_ignored else [*numbers, signal.SIGHUP]


def _upward(
    environment: Environment, on_ready: Callable[[], None], failures: list[str], notifier: Notifier
) -> Upward:
    def say_ready() -> None:
        on_ready()
        notifier.ready(f"{environment.daemon} runs in {environment.run_dir}")

    return Upward(
        ready=say_ready,
        failed=failures.append,
        below=lambda *_: None,
        stopping=notifier.stopping,
    )


def _exit_code(actor: RootActor, failures: list[str]) -> int:
    """What the root ends with.  Raises ConfigError or StartError when it never was ready."""
    code = actor.supervision.exit_code
    if failures:
        raise (ConfigError if code == EXIT_CONFIG else StartError)("\n".join(failures))
    if actor.interrupted_by is not None:
        return 128 + actor.interrupted_by
    return EXIT_STOPPED if actor.supervision.is_complete else code


class _Kin(msgspec.Struct, frozen=True):
    """The life of a root, and the two processes it has forked before all."""

    life: str
    guardian: Guardian
    zygote: Zygote

    def processes(self, mailbox: Mailbox, signals: SignalPipe) -> Processes:
        """Those of the root's supervisor."""
        return Processes(
            mailbox=mailbox,
            zygote=self.zygote,
            fork_zygote=partial(fork_zygote, ROOT, own_session=True),
            signals=signals,
            life=self.life,
            guardian=self.guardian,
        )


def _fork_first(stack: ExitStack) -> _Kin:
    """Nothing is open yet that these could inherit; ``stack`` ends them, and all below."""
    leave_no_core()
    life = new_life()
    guardian = Guardian(life)
    stack.callback(guardian.close)
    stack.callback(_end_everything, guardian)
    stack.callback(Badge(life).take_off)
    zygote = fork_zygote(ROOT, own_session=True)
    stack.callback(zygote.close)
    guardian.watch(zygote.session)
    adopt_orphans()
    widen_descriptors()
    return _Kin(life, guardian, zygote)


def _listeners(stack: ExitStack, run_dir: Path, names: list[str]) -> Listeners:
    listeners = Listeners(run_dir)
    stack.callback(listeners.close)
    stack.callback(listeners.sweep)
    listeners.open(names)
    return listeners


def _own(stack: ExitStack, environment: Environment, config: Config | None) -> None:
    """Lock the directories, and leave this pid in the run directory."""
    data_dir, run_dir = Path(environment.data_dir), Path(environment.run_dir)
    log_dir = Path(environment.log_folder)
    check_log_dir(log_dir)
    prepare_data_dir(data_dir)
    stack.callback(DirectoryLock(data_dir).release)
    check_backend(environment, may_wait=True)  # before anything is made beside it
    if environment.backend == "memory":
        make_memory_folder(Path(environment.database).parent)
    prepare_run_dir(run_dir)
    if not run_dir.samefile(data_dir):
        stack.callback(DirectoryLock(run_dir).release)
    prepare_log_dir(log_dir)
    if not (log_dir.samefile(data_dir) or log_dir.samefile(run_dir)):
        stack.callback(DirectoryLock(log_dir).release)
    if config is not None:  # a start that is refused leaves nothing
        settle(config.obeyed, clock=SystemClock())
    pid_file = run_dir / PID_FILE
    pid_file.unlink(missing_ok=True)  # of a root that was killed
    with open(pid_file, "x", opener=private_file) as file:
        file.write(f"{os.getpid()}\n")
    stack.callback(pid_file.unlink, missing_ok=True)


def _begin_output(stack: ExitStack, environment: Environment) -> Output:
    """From here on nobody who does not read standard error can hold the root up."""
    output = Output(ROOT, environment, clock=SystemClock())
    stack.callback(output.close)
    log_to(output.log_root)
    stack.callback(log_to, None)
    return output


def _root_actor(
    spec: SupervisorSpec,
    environment: Environment,
    *,
    boot: int,
    kin: _Kin,
    signals: SignalPipe,
    listeners: Listeners,
    output: Output,
    upward: Upward,
    clock: Clock,
    config: Config | None,
    notifier: Notifier,
) -> RootActor:
    recorder = FlightRecorder.alone(ROOT)
    mailbox = _mailbox(environment, listeners, recorder, boot=boot, clock=clock)
    given = Given(
        name=ROOT,
        incarnation=str(boot),
        spec=spec,
        environment=environment,
        mailbox=mailbox,
        processes=kin.processes(mailbox, signals),
        listeners=listeners,
        output=output,
        reports=Reports.of(ROOT, environment, mailbox, clock),
        upward=upward,
        clock=clock,
        random=random.random,
        take_on=partial(_take_on, output),
    )
    supervision = Supervision(given)
    return construct(
        RootActor,
        mailbox=mailbox,
        supervision=supervision,
        boot=boot,
        within=environment.stop_within,
        farewell=environment.farewell,
        describe=partial(_describe, environment, clock, clock.monotonic()),
        signs=recorder.signs,
        reloading=_reloading(config, mailbox, supervision, notifier, clock),
    )


def _reloading(
    config: Config | None,
    mailbox: Mailbox,
    supervision: Supervision,
    notifier: Notifier,
    clock: Clock,
) -> Reloading | None:
    if config is None:
        return None
    if notice := config.obeyed.notice:
        data = {"backend": supervision.terms.environment.backend}
        supervision.reports.swapped(notice, {"ok": True, "phase": "obeyed"} | data)
    holding = Holding(supervision, mailbox=mailbox)
    return Reloading(
        config.file,
        read=config.obeyed.read,
        mailbox=mailbox,
        supervision=supervision,
        notifier=notifier,
        swapping=Swapping(supervision, holding, mailbox=mailbox, clock=clock),
    )


def _take_on(output: Output, terms: Terms) -> None:
    set_log_level(terms.environment.log_level)
    output.reconfigure(terms.environment)


def _mailbox(
    environment: Environment,
    listeners: Listeners,
    recorder: FlightRecorder,
    *,
    boot: int,
    clock: Clock,
) -> Mailbox:
    return Mailbox(
        name=ROOT,
        incarnation=str(boot),
        clock=clock,
        listener=listeners.sockets[ROOT],
        address=address_book(environment.run_dir),
        decode=decode_request,
        recorder=recorder,
    )


def _describe(environment: Environment, clock: Clock, began: float, root: ChildStatus) -> Tree:
    version, sqlite_version = _versions()
    uptime = clock.monotonic() - began
    return Tree(
        environment.daemon, version, sqlite_version, uptime, root, str(environment.log_folder)
    )


@cache
def _versions() -> tuple[str, str]:
    """Of holdfast and of SQLite.

    The root needs the modules for nothing else: 60 ms of every start, when they stand above.
    """
    from importlib import metadata

    import apsw

    return metadata.version("holdfast"), apsw.sqlite_lib_version()


def _end_everything(guardian: Guardian) -> None:
    """The last but one thing a root does, also when it failed: nothing below it is left.

    This waits, for nobody is served any more.
    """
    immune: set[int] = {guardian.pid}  # its turn comes next; and what another user's are
    while children := set(children_of_this_process()) - immune:
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except PermissionError:
                immune.add(pid)
