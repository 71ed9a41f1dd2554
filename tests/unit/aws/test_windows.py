"""The laptop's side on Windows, simulated: without the names that Python lacks there."""

from __future__ import annotations

from pathlib import Path

from tests.unit.aws.test_submit_help import ROOT, run

PROGRAM = str(ROOT / "submit_job.py")

#: run first: removes what is not there
WINDOWS = """
import os, pkgutil, runpy, signal, sys
import click, botocore.session, pydantic  # these look at sys.platform, which stays
for module, names in (
    (signal, ("SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP",
              "SIGUSR1", "SIGUSR2", "alarm", "pthread_kill", "setitimer", "sigwait")),
    (os, ("chown", "fork", "getegid", "geteuid", "getgid", "getloadavg", "getpgrp", "getuid",
          "killpg", "mkfifo", "sched_getaffinity", "setsid", "statvfs", "sysconf", "uname")),
    (os, [name for name in dir(os) if name.startswith("EX_") and name != "EX_OK"]),
):
    for name in names:
        delattr(module, name)
for name in ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
"""

IMPORT_ALL = """
import spikeinterface_cloud.aws, submit_job
names = [found.name for found in
         pkgutil.walk_packages(spikeinterface_cloud.aws.__path__, "spikeinterface_cloud.aws.")]
for name in names:
    __import__(name)
print(len(names))
"""


def test_every_module_of_the_laptop_is_imported_on_windows(tmp_path: Path) -> None:
    assert int(run(tmp_path, "-c", WINDOWS + IMPORT_ALL).stdout) > 50


def test_estimate_runs_on_windows(tmp_path: Path) -> None:
    arguments = ["estimate", "--duration", "1h", "--sorters", "simple"]
    program = f"sys.argv[1:] = {arguments}; runpy.run_path({PROGRAM!r}, None, '__main__')"
    assert "sorted with simple" in run(tmp_path, "-c", WINDOWS + program).stdout
