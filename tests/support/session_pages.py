"""Records of the streams of a session, as their jobs leave them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from spikeinterface_cloud.session.clock import SessionClock, StreamClock


def record_of_stream(**changes: Any) -> dict[str, Any]:
    """Return `run.json` of a stream with two sorters."""
    return {
        "status": "succeeded",
        "exit_code": 0,
        "error": None,
        "recording": {
            "n_channels": 384,
            "duration_s": 3725.0,
            "probes": ["imec NP1010"],
            "notes": ["2 samples are missing at 12.5 s"],
        },
        "preprocessing": {"notes": []},
        "sorters": [
            sorter_of("kilosort4", 120, {"good": 60, "mua": 40, "noise": 15}),
            sorter_of("lupin", 80, {"good": 50, "mua": 30}),
        ],
        "cost": {"seconds": 1830.0, "usd": 0.41, "usd_at_most": 0.41},
        **changes,
    }


def sorter_of(name: str, n_units: int, labels: Mapping[str, int]) -> dict[str, Any]:
    """Return the entry of a sorter that found units."""
    return {
        "sorter": name,
        "outcome": "sorted",
        "n_units": n_units,
        "labels": labels,
        "reason": None,
    }


def failed_record(reason: str) -> dict[str, Any]:
    """Return `run.json` of a stream whose one sorter failed."""
    return record_of_stream(
        status="failed",
        exit_code=70,
        error=f"1 of 1 sorters failed (kilosort4: {reason})",
        sorters=[
            {**sorter_of("kilosort4", 0, {}), "outcome": "failed", "reason": reason},
        ],
        cost={"seconds": 100.0, "usd": None, "usd_at_most": 0.09},
    )


def clock_of_session(why: str) -> SessionClock:
    """Return the clocks of a reference, a stream that is aligned, and one that is not."""
    own_s = np.linspace(0.0, 3600.0, 60)
    return SessionClock(
        reference="nidq",
        streams={
            "nidq": StreamClock(status="reference"),
            "imec0.ap": StreamClock(
                status="aligned",
                drift_ppm=12.345,
                offset_s=0.1234,
                n_pulses=3600,
                n_used=3590,
                residual_ms_median=0.0123,
                residual_ms_max=0.08,
                own_s=own_s,
                reference_s=own_s * (1 + 12.345e-6) + 0.1234,
            ),
            "imec1.ap": StreamClock(status="own", why=why, n_pulses=2),
        },
    )


def events_of(line: str) -> pd.DataFrame:
    """Return events of a line of NIDQ, and one of a stream on its own clock."""
    return pd.DataFrame(
        {
            "time_s": [1.0, 2.0, 4.5, 3.0],
            "duration_s": [0.01, 0.02, 0.03, np.nan],
            "stream": ["nidq"] * 3 + ["imec1.ap"],
            "line": [line] * 3 + ["SY bit 6"],
            "own_time_s": [1.0, 2.0, 4.5, 3.0],
            "clock": ["nidq"] * 3 + ["imec1.ap"],
        }
    )
