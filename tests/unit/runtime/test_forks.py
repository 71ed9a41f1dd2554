"""Workers inherit neither what another thread has locked, nor the pipes that sorters watch."""

import os
import threading
import time

from spikeinterface_cloud.runtime.forks import not_inherited, without_forks


def test_a_worker_is_forked_once_no_thread_minds() -> None:
    lock, minding = threading.Lock(), threading.Event()

    def compile_something() -> None:
        with without_forks(), lock:
            minding.set()
            time.sleep(0.2)

    thread = threading.Thread(target=compile_something)
    thread.start()
    assert minding.wait(10)
    worker = os.fork()
    if worker == 0:
        os._exit(0 if lock.acquire(timeout=0) else 1)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0
    with without_forks():  # its own thread may fork
        worker = os.fork()
        if worker == 0:
            with without_forks():
                os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0


def test_a_worker_does_not_keep_a_pipe_open() -> None:
    reading, writing = os.pipe()
    release_reading, release = os.pipe()
    with not_inherited(writing):
        worker = os.fork()
        if worker == 0:
            os.read(release_reading, 1)
            os._exit(0)
    os.close(writing)
    os.set_blocking(reading, False)
    deadline = time.monotonic() + 10
    content = None
    while content is None and time.monotonic() < deadline:
        try:
            content = os.read(reading, 1)
        except BlockingIOError:
            time.sleep(0.01)
    os.write(release, b"x")
    os.waitpid(worker, 0)
    for descriptor in (reading, release_reading, release):
        os.close(descriptor)
    assert content == b"", "the worker has the other end open"
