"""Spot interruption notices, which the instance's metadata has two minutes in advance."""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from spikeinterface_cloud.errors import Interrupted
from spikeinterface_cloud.runtime.ec2_metadata import Instance, UnknownInstance, read_metadata
from spikeinterface_cloud.runtime.signals import request_stop

logger = logging.getLogger(__name__)

#: between two requests, as AWS recommends
POLL_INTERVAL_S = 5.0

NOTICE = "/latest/meta-data/spot/instance-action"


@contextmanager
def stop_before_reclaim(
    instance: Instance | UnknownInstance,
    environ: Mapping[str, str],
    poll_s: float = POLL_INTERVAL_S,
) -> Iterator[None]:
    """Stop the job, as SIGTERM does, when its Spot instance is about to be reclaimed."""
    if not isinstance(instance, Instance) or instance.life_cycle != "spot":
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(environ, poll_s, ended), name="spot notice", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(environ: Mapping[str, str], poll_s: float, ended: threading.Event) -> None:
    while not ended.wait(poll_s):
        text = read_metadata(environ, NOTICE)
        if text is not None:
            request_stop(
                Interrupted(
                    f"the Spot instance is reclaimed ({_describe_notice(text)}); finished results "
                    "are published, run the job again for the rest"
                )
            )
            return


def _describe_notice(notice: str) -> str:
    """Describe the notice in a few words.

    >>> _describe_notice('{"action": "terminate", "time": "2026-01-01T10:00:00Z"}')
    'terminate at 2026-01-01T10:00:00Z'
    """
    try:
        content = json.loads(notice)
        return f"{content['action']} at {content['time']}"
    except (ValueError, KeyError, TypeError):
        return "unreadable notice"
