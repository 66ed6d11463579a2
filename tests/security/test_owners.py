"""Scenario D18: whose the directories, files and sockets are, and who else gets at them."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import ConfigError, DaemonNotFoundError, UnknownActorError
from holdfast.supervisors.directories import prepare_data_dir, prepare_run_dir
from tests.daemon import CONFIG, TIMEOUT, Daemon

NOBODY = 65_534
second_uid = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a second user")
SOCKETS = {
    "root", "state", "agents", "writer", "query", "log", "sessions", "checkpoints", "files",
    "tracker",
}  # fmt: skip
# As somebody else, with a descriptor of the folder from before.  What comes until the end of file.
KNOCK = """
import os, socket, sys
folder = os.open(sys.argv[1], os.O_PATH)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for name in sys.argv[2:]:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30)
    try:
        sock.connect(f'/proc/self/fd/{folder}/{name}.sock')
        print(name, sock.recv(100))
    except OSError as error:
        print(name, type(error).__name__)
"""


@pytest.fixture(scope="module", params=[0o000, 0o077])
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """One that was started under that umask, and has written of everything it writes."""
    before = os.umask(request.param)
    try:
        daemon = Daemon(tmp_path_factory.mktemp("modes"), CONFIG)
    finally:
        os.umask(before)
    with daemon:
        daemon.hub.events.emit("some:thing")
        daemon.hub.flush(timeout=TIMEOUT)
        daemon.hub.files.append("../s", {"a": 1})
        daemon.hub.files.put_result("r", {"a": 1})
        yield daemon


def modes(folder: Path) -> dict[str, str]:
    """What others may do to what is in there, the folder included."""
    return {
        str(path.relative_to(folder)): f"{stat.S_IMODE(path.lstat().st_mode):o}"
        for path in (folder, *folder.rglob("*"))
        if path.lstat().st_mode & 0o077
    }


def test_all_that_a_daemon_writes_is_its_users_alone_whatever_the_umask(daemon: Daemon) -> None:
    data = daemon.folder / "var" / "lib"
    found = {path.name for path in data.rglob("*") if path.is_file()}
    assert {"holdfast.db", "holdfast.db-wal", "boot", "root.lock"} <= found
    assert any(name.endswith(".jsonl") for name in found), found
    assert modes(data) == {}
    assert modes(daemon.run_dir) == {}
    assert {path.stem for path in daemon.run_dir.glob("*.sock")} == SOCKETS
    assert not (daemon.folder / "var").stat().st_mode & 0o022  # others could swap what is in it


@second_uid
def test_another_user_gets_nowhere_and_past_the_modes_is_cut_off_by_every_listener(
    daemon: Daemon,
) -> None:
    def knock() -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", KNOCK, str(daemon.run_dir), *sorted(SOCKETS)],
            timeout=TIMEOUT,
            check=True,
            capture_output=True,
            text=True,
        )
        return dict(line.split(" ", 1) for line in done.stdout.splitlines())

    assert knock() == dict.fromkeys(SOCKETS, "PermissionError")
    daemon.run_dir.chmod(0o711)
    for path in daemon.run_dir.glob("*.sock"):
        path.chmod(0o666)
    try:
        assert knock() == dict.fromkeys(SOCKETS, "b''")
    finally:
        daemon.run_dir.chmod(0o700)
        for path in daemon.run_dir.glob("*.sock"):
            path.chmod(0o600)
    refused = f"refused a connection of uid {NOBODY}"
    daemon.until(lambda: daemon.log.read_text().count(refused) == len(SOCKETS))


@second_uid
def test_a_daemon_of_another_user_is_not_spoken_to(tmp_path: Path) -> None:
    """Whoever could put a socket in our place would otherwise get all that we send."""
    import holdfast

    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    program = (
        "import os, socket, sys\n"
        "folder = os.open(sys.argv[1], os.O_PATH)\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "sock = socket.socket(socket.AF_UNIX)\n"
        "sock.bind(f'/proc/self/fd/{folder}/root.sock')\n"
        "sock.listen()\n"
        "print('there', flush=True)\n"
        "peer, _ = sock.accept()\n"
        "print(peer.recv(100), flush=True)\n"
    )
    os.chown(folder, NOBODY, NOBODY)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "there\n"
        with pytest.raises(DaemonNotFoundError, match=f"is that of uid {NOBODY}, and speaks to"):
            holdfast.connect(folder)
        assert other.stdout.readline() == "b''\n"
    (folder / "root.sock").unlink()


@second_uid
@pytest.mark.parametrize("prepare", [prepare_data_dir, prepare_run_dir])
def test_a_directory_of_another_user_is_refused(tmp_path: Path, prepare: object) -> None:
    folder = tmp_path / "dir"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    assert callable(prepare)
    with pytest.raises(ConfigError, match=f"belongs to uid {NOBODY}, not to 0: use one of your"):
        prepare(folder)


@second_uid
@pytest.mark.parametrize("prepare", [prepare_data_dir, prepare_run_dir])
@pytest.mark.parametrize("place", ["dir", "dir/below"])
def test_a_link_of_another_user_is_refused(tmp_path: Path, prepare: object, place: str) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "dir").symlink_to("mine")
    assert callable(prepare)
    prepare(tmp_path / place)  # one's own may be there
    os.chown(tmp_path / "dir", NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(ConfigError, match=f"{tmp_path}/dir is a link of uid {NOBODY}"):
        prepare(tmp_path / place)


@pytest.mark.parametrize(
    ("prepare", "mode", "can"),
    [
        (prepare_data_dir, 0o770, "write to"),
        (prepare_data_dir, 0o707, "write to"),
        (prepare_run_dir, 0o750, "enter"),
        (prepare_run_dir, 0o701, "enter"),
        (prepare_run_dir, 0o722, "write to"),
    ],
)
def test_an_open_directory_is_refused_unless_it_is_empty(
    tmp_path: Path, prepare: object, mode: int, can: str
) -> None:
    folder = tmp_path / "dir"
    folder.mkdir()
    folder.chmod(mode)
    assert callable(prepare)
    prepare(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "something").touch()
    folder.chmod(mode)
    with pytest.raises(ConfigError, match=rf"others can {can} it \(mode {mode:o}\)"):
        prepare(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == mode


def test_no_name_of_an_actor_leads_out_of_the_run_directory(daemon: Daemon, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as trap:
        trap.bind(str(tmp_path / "trap.sock"))
        trap.listen()
        trap.setblocking(False)
        way = os.path.relpath(tmp_path / "trap", daemon.run_dir)
        for name in (way, str(tmp_path / "trap"), "a/b", "..", "", "a\0b", "A", "x" * 60, "ü"):
            with pytest.raises(UnknownActorError, match="no name of an actor"):
                daemon.hub.ref(name).ask("hello", timeout=1)
        with pytest.raises(BlockingIOError):
            trap.accept()
    (tmp_path / "trap.sock").unlink()


def test_a_crash_leaves_no_core(daemon: Daemon) -> None:
    for name in ("root", "state", "writer"):
        limits = Path(f"/proc/{daemon.pid(name)}/limits").read_text()
        (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert line.split()[4] in ("0", "1"), line
