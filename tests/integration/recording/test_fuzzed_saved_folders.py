"""JSON of saved folders that holds what it must not: refused or read, never a traceback."""

# ruff: noqa: PT017  a case may be refused or taken, which pytest.raises cannot say

import copy
import json
import math
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import CloudJobError, RecordingError
from spikeinterface_cloud.recording.open import open_source
from spikeinterface_cloud.recording.source import FetchedSource
from tests.support.recordings import simulate, write_binary_folder, write_zarr_folder

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    # readers warn of what they find in damaged files, each in its own words
    pytest.mark.filterwarnings("ignore"),
]

#: stands for a key or an item that is left out
LEFT_OUT = object()

VALUES: list[Any] = [
    *(None, True, 0, -1, 3, 2**63, 10**40, 1e308, math.nan, math.inf, "", "x", "../x", "int16"),
    *([], {}, [None], ["x"], [[1, 2]], [[math.nan, 0]] * 4, [0] * 4, ["a"] * 4, {"a": 1}, LEFT_OUT),
]

N_CASES = 700

Place = tuple[str | int, ...]


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=1.2, n_channels=4, n_units=1)[0]


def places_in(content: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of every value; of a list, of its first two."""
    yield place
    if isinstance(content, dict):
        for key, value in content.items():
            yield from places_in(value, (*place, key))
    elif isinstance(content, list):
        for index, value in enumerate(content[:2]):
            yield from places_in(value, (*place, index))


def with_value(content: Any, place: Place, value: Any) -> Any:
    changed = copy.deepcopy(content)
    if not place:
        return {} if value is LEFT_OUT else value
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    if value is LEFT_OUT:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return changed


def exit_code(folder: Path, data_type: str, what: str) -> int:
    try:
        open_source(FetchedSource(path=folder), data_type, {}, None)
    except CloudJobError as error:
        assert "\n" not in str(error), what
        return error.exit_code
    except Exception as error:
        raise AssertionError(f"{what} ends in a traceback: {error!r}") from error
    return 0


def ends_of(folder: Path, data_type: str, names: tuple[str, ...]) -> Counter[int]:
    """Open the folder with wrong values in its files, one at a time; count the exit codes."""
    cases = [
        (folder / name, place, value)
        for name in names
        for place in places_in(json.loads((folder / name).read_text()))
        for value in VALUES
    ]
    ends: Counter[int] = Counter()
    for file, place, value in random.Random(0).sample(cases, min(N_CASES, len(cases))):
        whole = file.read_text()
        file.write_text(json.dumps(with_value(json.loads(whole), place, value)))
        try:
            ends[exit_code(folder, data_type, f"{file.name} {place}: {value!r}")] += 1
        finally:
            file.write_text(whole)
    return ends


def test_a_binary_folder_with_wrong_values_is_refused_or_read(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    folder = write_binary_folder(tmp_path / "saved", simulated)
    ends = ends_of(folder, "binary", ("binary.json", "probegroup.json"))
    assert set(ends) <= {0, 65}
    assert ends[65] > 100
    assert ends[0] > 50, "a reader that refuses everything would pass"


def test_a_zarr_folder_with_wrong_values_is_refused_or_read(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    folder = write_zarr_folder(tmp_path / "saved.zarr", simulated)
    (folder / ".zmetadata").unlink(missing_ok=True)
    ends = ends_of(folder, "zarr", (".zattrs",))
    assert set(ends) <= {0, 65, 78}
    assert ends[65] > 50
    assert ends[0] > 50, "a reader that refuses everything would pass"


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("binary.json", ("kwargs", "file_paths"), [], "kwargs.file_paths: List should have"),
        ("binary.json", ("kwargs", "file_offset"), math.nan, "kwargs.file_offset: Input should"),
        ("probegroup.json", ("probes",), [], "probes: List should have at least 1 item"),
        (
            "probegroup.json",
            ("probes", 0, "contact_positions", 0, 0),
            "left",
            "probes.0.contact_positions.0: Input should be|probes.0.contact_positions.0",
        ),
    ],
)
def test_the_wrong_value_is_named(
    tmp_path: Path, simulated: BaseRecording, name: str, place: Place, value: Any, message: str
) -> None:
    folder = write_binary_folder(tmp_path / "saved", simulated)
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(with_value(content, place, value)))
    with pytest.raises(RecordingError, match=rf"saved/{name}: {message}") as caught:
        open_source(FetchedSource(path=folder), "binary", {}, None)
    assert "save the recording again with recording.save(folder=...)" in str(caught.value)
