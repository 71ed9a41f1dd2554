"""SpikeInterface Cloud: sort extracellular recordings in the cloud, one container a job.

`submit` and `Job` are imported when they are first used, as the container needs neither.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeinterface_cloud.aws.python_api import Job, submit

__all__ = ["Job", "__version__", "submit"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in ("Job", "submit"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from spikeinterface_cloud.aws import python_api

    return getattr(python_api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
