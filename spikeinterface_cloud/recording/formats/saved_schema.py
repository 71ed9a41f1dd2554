"""The JSON of folders that SpikeInterface saved, of any version, as far as it is relied on.

SpikeInterface and probeinterface validate nothing, and fail much later.
"""

import json
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from spikeinterface_cloud.errors import RecordingError

Names = list[str | int | float]
PerChannel = list[float] | float | None


class _Strict(BaseModel):
    """Values are of their types, as nothing converts them later; other keys are ignored."""

    model_config = ConfigDict(strict=True)


class _BinaryFiles(_Strict):
    file_paths: list[str] = Field(min_length=1)
    sampling_frequency: Annotated[FiniteFloat, Field(gt=0)]
    num_channels: int = Field(gt=0, validation_alias=AliasChoices("num_channels", "num_chan"))
    dtype: str
    channel_ids: Names | None = None
    t_starts: list[FiniteFloat] | None = None
    time_axis: int = 0
    file_offset: int = Field(default=0, ge=0)
    gain_to_uV: PerChannel = None
    offset_to_uV: PerChannel = None
    is_filtered: bool | None = None
    file_timestamps_paths: list[str] | None = None


class BinaryDescription(_Strict):
    """The file that describes the traces: `binary.json`, or an older one."""

    kwargs: _BinaryFiles


class _Probe(_Strict):
    #: NaN has a message of its own
    contact_positions: list[list[float]] = Field(min_length=1)
    contact_shapes: list[str] | None = None
    contact_shape_params: list[dict[str, float]] | None = None
    contact_ids: Names | None = None
    shank_ids: Names | None = None
    device_channel_indices: list[int] | None = None


class ProbeGroupDescription(_Strict):
    """The positions of the channels: `probegroup.json`, or an older `probe.json`."""

    probes: list[_Probe] = Field(min_length=1)


def check_json(file: Path, model: type[BaseModel]) -> None:
    """Raise `RecordingError` unless the content of a saved folder's file is as the model says."""
    again = "save the recording again with recording.save(folder=...)"
    where = f"{file.parent.name}/{file.name}"
    try:
        model.model_validate(json.loads(file.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][:4])) or "the content"
        raise RecordingError(f"{where}: {place}: {first['msg']}; {again}") from error
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{where} is not JSON; {again}") from error
