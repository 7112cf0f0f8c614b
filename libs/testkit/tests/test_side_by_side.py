"""Two runs at once: the second in what the first leaves, and both are what the exit code says."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest
from voisnap_testkit.platform import BESIDE, wait_until

pytestmark = pytest.mark.unit

_RUN = "import sys; from voisnap_testkit import side_by_side as s; sys.exit(s.main([[sys.executable, '-c', sys.argv[1]]], [sys.executable, '-c', sys.argv[2]]))"
_PRIORITY = "import os; print(os.getpriority(os.PRIO_PROCESS, 0) - {}, os.environ.get('" + BESIDE + "'))"


def start(calls: str, rest: str) -> subprocess.Popen[str]:
    # As a script starts something in the background.
    command: Sequence[str] = ("sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", _RUN, calls, rest)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_second_yields_to_the_first_and_is_told_after_it() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    rest = "import sys, time, os; sys.stdin.close(); time.sleep(0.2); " + _PRIORITY.format(own)
    with start("import time; time.sleep(0.5); " + _PRIORITY.format(own), rest) as run:
        output, _ = run.communicate(timeout=60)
    assert output.splitlines() == ["0 1", f"{max(10 - own, 0)} None"]
    assert run.returncode == 0


@pytest.mark.parametrize(("calls", "rest", "code"), [(1, 0, 1), (0, 5, 1), (0, 0, 0)])
def test_one_that_fails_is_enough(calls: int, rest: int, code: int) -> None:
    with start(f"raise SystemExit({calls})", f"raise SystemExit({rest})") as run:
        run.communicate(timeout=60)
    assert run.returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_goes_on_without_it(number: signal.Signals) -> None:
    said_and_waits = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    with start("print('up', flush=True)", said_and_waits) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        pid = int(run.stdout.readline())
        run.send_signal(number)
        run.wait(timeout=60)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), seconds=10, what="the end of the second run")
