"""A program that runs as on Windows, simulated: without the names that Python lacks there."""

#: run first: removes what is not there
WITHOUT_POSIX = """
import os, pkgutil, runpy, signal, sys
import click, botocore.session, pydantic  # these look at sys.platform, which stays
for module, names in (
    (signal, ("SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP",
              "SIGUSR1", "SIGUSR2", "alarm", "pthread_kill", "setitimer", "sigwait")),
    (os, ("O_CLOEXEC", "chown", "fork", "getegid", "geteuid", "getgid", "getloadavg", "getpgrp",
          "getuid", "killpg", "mkfifo", "pread", "preadv", "pwrite", "sched_getaffinity", "setsid",
          "statvfs", "sysconf", "uname")),
    (os, [name for name in dir(os) if name.startswith("EX_") and name != "EX_OK"]),
):
    for name in names:
        delattr(module, name)
for name in ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
"""


def without_posix(program: str) -> str:
    """Return the source that runs a script so; its arguments are those of the command line."""
    return (
        f"{WITHOUT_POSIX}\nsys.argv[0] = {program!r}\nrunpy.run_path({program!r}, None, '__main__')"
    )
