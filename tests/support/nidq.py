"""Files of SpikeGLX's NI-DAQ and OneBox streams, of given samples.

Keys and their meaning are those of SpikeGLX's documentation of its metadata.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

NIDQ_RANGE_V = 5.0
NIDQ_STEP_V = NIDQ_RANGE_V / 32768
OBX_STEP_V = 5.0 / 32768


def write_nidq(
    stem: Path,
    words: np.ndarray,
    analog: np.ndarray | None = None,
    *,
    rate_hz: float = 25_000.0,
    first_sample: int = 0,
    n_ma: int = 0,
    changes: Mapping[str, object] | None = None,
) -> Path:
    """Write `<stem>.nidq.bin` and its meta; return the binary file.

    Parameters
    ----------
    words
        of shape (frames, digital words)
    analog
        in steps of the file, of shape (frames, channels): the first `n_ma` are multiplexed (MA),
        the others not (XA)
    """
    n_frames, n_words = words.shape
    analog = np.zeros((n_frames, 0), dtype="int16") if analog is None else analog
    n_xa = analog.shape[1] - n_ma
    names = [
        *(f"MA{c}" for c in range(n_ma)),
        *(f"XA{c}" for c in range(n_xa)),
        *(f"XD{c}" for c in range(n_words)),
    ]
    meta: dict[str, object] = {
        "acqMnMaXaDw": f"0,{n_ma},{n_xa},{n_words}",
        "niAiRangeMax": NIDQ_RANGE_V,
        "niAiRangeMin": -NIDQ_RANGE_V,
        "niMAGain": 2,
        "niMNGain": 200,
        "niMaxInt": 32768,
        "niSampRate": rate_hz,
        "niXDBytes1": 2 * n_words,
        "niXDChans1": f"0:{16 * n_words - 1}" if n_words else "",
        "snsMnMaXaDw": f"0,{n_ma},{n_xa},{n_words}",
        "typeThis": "nidq",
        "~snsChanMap": f"(0,0,1,{n_xa},{n_words}){_channel_map(names)}",
    }
    return _write(stem, "nidq", np.hstack([analog, _bits(words)]), first_sample, meta, changes)


def write_onebox(
    stem: Path,
    words: np.ndarray,
    analog: np.ndarray,
    *,
    rate_hz: float = 30_000.0,
    first_sample: int = 0,
) -> Path:
    """Write `<stem>.obx0.obx.bin` and its meta, with a sync word that stays 0."""
    n_frames, n_xa = analog.shape
    names = [*(f"XA{c}" for c in range(n_xa)), "XD0", "SY0"]
    meta: dict[str, object] = {
        "acqXaDwSy": f"{n_xa},1,1",
        "imDatObx_slot": 21,
        "obAiRangeMax": 5.0,
        "obAiRangeMin": -5.0,
        "obMaxInt": 32768,
        "obSampRate": rate_hz,
        "snsXaDwSy": f"{n_xa},1,1",
        "typeThis": "obx",
        "~snsChanMap": f"({n_xa},1,1){_channel_map(names)}",
    }
    sync = np.zeros((n_frames, 1), dtype="int16")
    samples = np.hstack([analog, _bits(words), sync])
    return _write(stem, "obx0.obx", samples, first_sample, meta)


def _bits(words: np.ndarray) -> np.ndarray:
    return words.astype("uint16").view("int16")


def _channel_map(names: list[str]) -> str:
    return "".join(f"({name};{c}:{c})" for c, name in enumerate(names))


def _write(
    stem: Path,
    stream: str,
    samples: np.ndarray,
    first_sample: int,
    meta: Mapping[str, object],
    changes: Mapping[str, object] | None = None,
) -> Path:
    file = stem.with_name(f"{stem.name}.{stream}.bin")
    file.parent.mkdir(parents=True, exist_ok=True)
    samples.astype("int16").tofile(file)
    lines = {
        **meta,
        "fileName": f"D:/data/{file.name}",
        "fileSizeBytes": file.stat().st_size,
        "firstSample": first_sample,
        "nSavedChans": samples.shape[1],
        "snsSaveChanSubset": f"0:{samples.shape[1] - 1}",
        **(changes or {}),
    }
    text = "".join(f"{key}={value}\n" for key, value in lines.items())
    file.with_suffix(".meta").write_text(text)
    return file
