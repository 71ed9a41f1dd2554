"""The notice that a Spot instance is taken back, two minutes before that happens.

Batch and ECS need not pass it on to the container, so the job asks the instance's metadata itself.
"""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from spikeinterface_cloud.errors import Interrupted
from spikeinterface_cloud.runtime.ec2_metadata import Instance, UnknownInstance, read_metadata
from spikeinterface_cloud.runtime.signals import stop

logger = logging.getLogger(__name__)

#: between two questions, as AWS recommends
POLL_S = 5.0

NOTICE = "/latest/meta-data/spot/instance-action"


@contextmanager
def stopped_before_reclaim(
    instance: Instance | UnknownInstance, environ: Mapping[str, str], poll_s: float = POLL_S
) -> Iterator[None]:
    """Stop the job, as SIGTERM does, as soon as its Spot instance is going to be taken back."""
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
            stop(
                Interrupted(
                    f"the Spot instance is taken back ({_tell(text)}); what was finished is "
                    "published, run the job again for the rest"
                )
            )
            return


def _tell(notice: str) -> str:
    """What will happen and when, in a few words.

    >>> _tell('{"action": "terminate", "time": "2026-01-01T10:00:00Z"}')
    'terminate at 2026-01-01T10:00:00Z'
    """
    try:
        content = json.loads(notice)
        return f"{content['action']} at {content['time']}"
    except (ValueError, KeyError, TypeError):
        return "its metadata have a notice"
