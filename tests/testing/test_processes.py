"""What is read of /proc while what it tells of comes and goes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from holdfast.testing.processes import children

LOOKS = 2_000


def test_children_are_found_while_threads_end() -> None:
    is_over = threading.Event()

    def churn() -> None:
        while not is_over.is_set():
            short = threading.Thread(target=os.getpid)
            short.start()
            short.join()

    threads = [threading.Thread(target=churn) for _ in range(3)]
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        for thread in threads:
            thread.start()
        try:
            found = [child.pid in children() for _ in range(LOOKS)]
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        child.communicate(b"\n")
    assert all(found)
    assert child.pid not in children()
