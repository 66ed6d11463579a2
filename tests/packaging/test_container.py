"""The Dockerfile: what it says, and that a daemon lives in the image, where it can be built."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.testing.processes import descendants, is_alive
from tests.commandline import environment, every_command
from tests.daemon import TIMEOUT

ROOT = Path(__file__).resolve().parents[2]
BASE = "python:3.13-slim"
UID = 10001
BUILDING = 600.0  # seconds; packages come over the network
PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, each in one line."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], " ".join(line.split()[1:])) for line in lines]


def test_its_process_1_is_holdfast_itself_and_no_shell_that_keeps_signals() -> None:
    found = dict(instructions())
    assert json.loads(found["ENTRYPOINT"]) == ["holdfast"]
    command = json.loads(found["CMD"])
    health = json.loads(found["HEALTHCHECK"].partition("CMD ")[2])
    assert command[0] in every_command()
    assert health[0] == "holdfast"
    assert health[1] in every_command()
    names = [name for name, _ in instructions()]
    assert names.index("USER") > names.index("RUN")  # installed by root, run by another
    assert f"--uid {UID} " in " ".join(text for name, text in instructions() if name == "RUN")


def test_all_that_is_built_from_reaches_the_build_and_nothing_else() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    let_in = {each[1:] for each in ignored if each.startswith("!")}
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    folders = {"holdfast", *re.findall(r"= (\w+)$", setup["options"]["package_dir"], re.M)}
    assert let_in == {*folders, "LICENSE", "README.md", "pyproject.toml", "setup.cfg"}
    bases = {text.split()[0] for name, text in instructions() if name == "FROM"}
    assert bases == {BASE}


def buildah(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["buildah", *map(str, arguments)],
        env=environment(BUILDAH_ISOLATION="chroot"),  # also where no container may be made
        capture_output=True,
        text=True,
        timeout=BUILDING,
        check=False,
    )


@pytest.fixture
def image() -> Iterator[Path]:
    """The root of a container of the image, built anew."""
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("needs root, and buildah: apt-get install buildah")
    if buildah("from", "--name", "holdfast-base", BASE).returncode:
        pytest.skip(f"{BASE} is not here and cannot be pulled")
    assert buildah("rm", "holdfast-base").returncode == 0
    shared = [f"--volume={path}:{path}:ro" for path in os.environ.get("BUILD_VOLUMES", "").split()]
    built = buildah(
        "bud", "--format=docker", "--network=host", *shared, "-t", "holdfast-test", ROOT
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert buildah("from", "--name", "holdfast-test", "holdfast-test").returncode == 0
    try:
        yield Path(buildah("mount", "holdfast-test").stdout.strip())
    finally:
        buildah("rm", "holdfast-test")
        buildah("rmi", "holdfast-test")


class Container:
    """Commands in the image as a user, in /data; what starts is process 1 of its own namespace."""

    def __init__(self, root: Path, uid: int) -> None:
        mounts = f'mount --rbind /dev {root}/dev && mount -t proc proc {root}/proc && exec "$@"'
        as_user = ["chroot", f"--userspec={uid}:{uid}", str(root)]
        in_data = ["/bin/sh", "-c", 'cd /data && exec "$@"', "sh"]
        self._inside = ["/bin/sh", "-c", mounts, "sh", *as_user, *in_data]

    def run(self, *arguments: str) -> int:
        """As `docker exec`."""
        done = subprocess.run(
            ["unshare", "--mount", *self._inside, *arguments],
            env={"PATH": PATH, "HOME": "/data"},
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        return done.returncode

    @contextmanager
    def start(self) -> Iterator[subprocess.Popen[str]]:
        """As the image's ENTRYPOINT and CMD have it."""
        found = dict(instructions())
        command = json.loads(found["ENTRYPOINT"]) + json.loads(found["CMD"])
        alone = ["unshare", "--pid", "--fork", "--mount", "--ipc"]
        process = subprocess.Popen(
            [*alone, *self._inside, *command],
            env={"PATH": PATH, "HOME": "/data"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                # All that is in the namespace goes with it; unshare alone would leave it.
                os.kill(process_1_of(process.pid), signal.SIGKILL)
            process.communicate()


@pytest.mark.slow  # an image is built
def test_a_daemon_lives_in_the_image(image: Path) -> None:
    health = json.loads(dict(instructions())["HEALTHCHECK"].partition("CMD ")[2])
    data = image / "data"
    assert data.stat().st_uid == UID
    for uid in (UID, 12_345):  # the image's own user, and -u with one that it does not know
        os.chown(data, uid, uid)
        container = Container(image, uid)
        assert container.run("holdfast", "init") == 0
        assert container.run(*health) == 4  # nobody is there
        with container.start() as daemon:
            assert daemon.stdout is not None
            said = ""
            for line in daemon.stdout:
                if line.startswith("ready "):
                    break
                said += line
            else:
                raise AssertionError(said)
            assert " pid=1 " in line
            assert container.run(*health) == 0
            assert container.run("holdfast", "restart", "log") == 0
            below = list(descendants(daemon.pid).values())
            assert len(below) > 8
            os.kill(process_1_of(daemon.pid), signal.SIGTERM)  # `docker stop`
            assert daemon.wait(TIMEOUT) == 0, daemon.stdout.read()
            assert not [each for each in below if is_alive(each)]
        for left in data.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    # A volume of somebody else's: refused at once, by name.
    os.chown(data, UID, UID)
    container = Container(image, UID)
    assert container.run("holdfast", "init") == 0
    os.chown(data, 0, 0)
    with container.start() as daemon:
        assert daemon.stdout is not None
        said = daemon.stdout.read()
        assert daemon.wait(TIMEOUT) not in (0, None)
    assert "/data cannot be written to" in said


def process_1_of(pid: int) -> int:
    """The child of ``unshare``."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])
