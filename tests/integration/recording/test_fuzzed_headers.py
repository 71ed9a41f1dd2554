"""Damaged or made-up headers end in the right exit code, never in a traceback or a hang."""

# ruff: noqa: PT017  a case may be refused or taken, which pytest.raises cannot say

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import CloudJobError
from spikeinterface_cloud.recording.open import open_source
from spikeinterface_cloud.recording.source import FetchedSource
from tests.support.job import run_job
from tests.support.nwb_files import write_nwb
from tests.support.recordings import SpikeGlxRun, simulate, write_spikeglx
from tests.support.weather import within

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    # readers warn of what they find in damaged files, each in its own words
    pytest.mark.filterwarnings("ignore"),
]

#: a case that takes longer hangs, whatever else this machine has to do
LONGEST_CASE_S = 60

#: as design.md has them: a stream to choose, the data, disk or memory
CODES = {78, 65, 69}


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=1.5, n_channels=4, n_units=1)[0]


@pytest.fixture(scope="module")
def spikeglx(tmp_path_factory: pytest.TempPathFactory, simulated: BaseRecording) -> Path:
    """Write a run with one AP band."""
    folder = tmp_path_factory.mktemp("spikeglx")
    return write_spikeglx(folder, simulated, SpikeGlxRun(with_lf=False))


@pytest.fixture(scope="module")
def nwb(tmp_path_factory: pytest.TempPathFactory, simulated: BaseRecording) -> Path:
    """Write a file that is mostly metadata."""
    return write_nwb(tmp_path_factory.mktemp("nwb") / "recording.nwb", simulated)


def end_of(path: Path, data_type: str, what: str) -> int:
    """Return the exit code of opening, 0 for a recording; raise any other error, which is a bug."""

    def opening() -> int:
        try:
            opened = open_source(FetchedSource(path=path), data_type, {}, None)
        except CloudJobError as error:
            assert "\n" not in str(error), what
            assert len(str(error)) < 2_000, what
            return error.exit_code
        opened.recording.get_traces(start_frame=0, end_frame=100)
        return 0

    try:
        code = within(LONGEST_CASE_S, opening, what)
    except Exception as error:
        raise AssertionError(f"{what} ends in a traceback: {error!r}") from error
    assert code in CODES | {0}, what
    return code


# ----- SpikeGLX ----------------------------------------------------------------------------------

VALUES = ["", "0", "-1", "nan", "inf", "1e300", "9" * 400, "x", "(", "(0,384)(", "\x00", "é", "1:0"]


def mutations_of_meta(text: str, random_: random.Random) -> list[tuple[str, str]]:
    """Each line left out, and with values that it must not have; and text cut and garbled."""
    lines = text.splitlines()
    mutated = [("an empty file", ""), ("no lines", "\n\n"), ("no text", "\x00" * 100)]
    for number, line in enumerate(lines):
        name, _, value = line.partition("=")
        rest = lines[:number], lines[number + 1 :]
        mutated.append((f"without {name}", "\n".join([*rest[0], *rest[1]])))
        for other in random_.sample(VALUES, 5):
            mutated.append(
                (f"{name}={other[:20]}", "\n".join([*rest[0], f"{name}={other}", *rest[1]]))
            )
        cut = value[: len(value) // 2]
        mutated.append((f"{name} cut", "\n".join([*rest[0], f"{name}={cut}", *rest[1]])))
    for _ in range(30):
        characters = list(text)
        for _ in range(random_.randint(1, 20)):
            characters[random_.randrange(len(characters))] = chr(random_.randrange(32, 300))
        mutated.append(("garbled", "".join(characters)))
        mutated.append(("cut", text[: random_.randrange(len(text))]))
    return mutated


def test_a_damaged_meta_file_of_spikeglx_is_refused(spikeglx: Path) -> None:
    [meta] = spikeglx.rglob("*.ap.meta")
    whole = meta.read_text()
    ends: Counter[int] = Counter()
    try:
        for what, text in mutations_of_meta(whole, random.Random(0)):
            meta.write_text(text)
            ends[end_of(spikeglx, "spikeglx", what)] += 1
    finally:
        meta.write_text(whole)
    print(f"{ends.total()} damaged meta files: {dict(ends)}")
    assert ends.total() > 200
    assert ends[65] > 50
    assert ends[0] > 20, "a reader that refuses everything would pass"


def test_a_damaged_binary_file_of_spikeglx_is_refused(spikeglx: Path) -> None:
    [traces] = spikeglx.rglob("*.ap.bin")
    whole = traces.read_bytes()
    try:
        for size in (0, 1, 9, len(whole) // 2 + 1, len(whole) - 2):
            traces.write_bytes(whole[:size])
            assert end_of(spikeglx, "spikeglx", f"{size} bytes") == 65
    finally:
        traces.write_bytes(whole)


# ----- NWB ---------------------------------------------------------------------------------------

SERIES = "acquisition/ElectricalSeries"
ELECTRODES = "general/extracellular_ephys/electrodes"

Change = Callable[[h5py.File], object]


def put(path: str, data: object) -> Change:
    """Another dataset in place of the one at `path`, with its attributes."""

    def change(file: h5py.File) -> None:
        attributes = dict(file[path].attrs)
        del file[path]
        file[path] = data
        file[path].attrs.update(attributes)

    return change


def say(path: str, name: str, value: object) -> Change:
    """Another attribute."""

    def change(file: h5py.File) -> None:
        file[path].attrs[name] = value

    return change


def drop(path: str, attribute: str | None = None) -> Change:
    """Something left out."""

    def change(file: h5py.File) -> None:
        if attribute is None:
            del file[path]
        else:
            del file[path].attrs[attribute]

    return change


ODD_NUMBERS = (-1.0, 0.0, np.nan, np.inf, -np.inf, 1e300, 1e-300, "fast", [1.0, 2.0], 2**63)

CHANGES: dict[str, Change] = {
    **{
        f"without {path}": drop(path)
        for path in (
            "acquisition",
            SERIES,
            f"{SERIES}/data",
            f"{SERIES}/electrodes",
            f"{SERIES}/starting_time",
            "general",
            ELECTRODES,
            f"{ELECTRODES}/rel_x",
            f"{ELECTRODES}/group_name",
            f"{ELECTRODES}/id",
        )
    },
    **{
        f"without {path} {name}": drop(path, name)
        for path, name in (
            (SERIES, "neurodata_type"),
            (f"{SERIES}/data", "conversion"),
            (f"{SERIES}/data", "unit"),
            (f"{SERIES}/starting_time", "rate"),
            (ELECTRODES, "colnames"),
            (f"{SERIES}/electrodes", "table"),
        )
    },
    **{f"rate {value}": say(f"{SERIES}/starting_time", "rate", value) for value in ODD_NUMBERS},
    **{f"conversion {v}": say(f"{SERIES}/data", "conversion", v) for v in ODD_NUMBERS},
    **{f"starting_time {v}": put(f"{SERIES}/starting_time", v) for v in ODD_NUMBERS},
    **{
        f"data of shape {shape}": put(f"{SERIES}/data", np.zeros(shape, "int16"))
        for shape in (
            (),
            (0,),
            (45_000,),
            (0, 4),
            (45_000, 0),
            (45_000, 3),
            (45_000, 5),
            (10, 10, 10),
            (1, 4),
        )
    },
    **{
        f"data of type {dtype}": put(f"{SERIES}/data", np.ones((45_000, 4)).astype(dtype))
        for dtype in (
            "S8",
            "bool",
            "complex64",
            "float16",
            "float64",
            "uint8",
            "uint64",
            ">i2",
        )
    },
    "data of records": put(f"{SERIES}/data", np.zeros((45_000, 4), [("a", "i2"), ("b", "f4")])),
    "data of texts": put(f"{SERIES}/data", [["a", "b", "c", "d"]] * 100),
    "data is a group": lambda file: (
        drop(f"{SERIES}/data")(file),
        file.create_group(f"{SERIES}/data"),
    ),
    "data is NaN": put(f"{SERIES}/data", np.full((45_000, 4), np.nan, "float32")),
    "electrodes out of the table": put(f"{SERIES}/electrodes", np.array([0, 1, 2, 400])),
    "electrodes negative": put(f"{SERIES}/electrodes", np.array([-1, -2, -3, -4])),
    "electrodes as texts": put(f"{SERIES}/electrodes", ["a", "b", "c", "d"]),
    "electrodes twice": put(f"{SERIES}/electrodes", np.array([0, 0, 0, 0])),
    "too few positions": put(f"{ELECTRODES}/rel_x", np.zeros(2)),
    "positions that are texts": put(f"{ELECTRODES}/rel_x", ["a", "b", "c", "d"]),
    "positions that are NaN": put(f"{ELECTRODES}/rel_x", np.full(4, np.nan)),
    "positions that are infinite": put(f"{ELECTRODES}/rel_y", np.full(4, np.inf)),
    "groups that are numbers": put(f"{ELECTRODES}/group_name", np.arange(4)),
    "a table of columns that are not there": say(ELECTRODES, "colnames", ["no", "such"]),
    "a loop of links": lambda file: file.__setitem__(
        f"{SERIES}/loop", h5py.SoftLink("/acquisition")
    ),
    "a link to nothing": lambda file: file.__setitem__("acquisition/x", h5py.SoftLink("/nothing")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_an_nwb_file_with_fuzzed_attributes_is_refused_or_read(
    nwb: Path, tmp_path: Path, what: str
) -> None:
    file = shutil.copy(nwb, tmp_path / "recording.nwb")
    with h5py.File(file, "a") as opened:
        CHANGES[what](opened)
    end_of(Path(file), "nwb", what)


def test_an_nwb_file_with_wrong_or_missing_bytes_is_refused(nwb: Path, tmp_path: Path) -> None:
    """A flipped bit that hits no structure may go unseen here: digests are for these."""
    whole = nwb.read_bytes()
    random_ = random.Random(0)
    ends: Counter[int] = Counter()
    file = tmp_path / "recording.nwb"
    for case in range(160):
        data = bytearray(whole)
        if case % 4 == 0:
            data = data[: random_.randrange(len(data))]
        else:
            for _ in range(random_.choice((1, 8, 200))):
                data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
        file.unlink(missing_ok=True)
        file.write_bytes(data)
        ends[end_of(file, "nwb", f"case {case}")] += 1
    print(f"{ends.total()} damaged NWB files: {dict(ends)}")
    assert ends[65] > 40
    assert ends[0] > 16, "a reader that refuses everything would pass"


@pytest.mark.parametrize("data_type", ["spikeglx", "nwb"])
def test_a_whole_job_exits_with_65(
    tmp_path: Path, spikeglx: Path, nwb: Path, data_type: str
) -> None:
    source = tmp_path / "source"
    if data_type == "nwb":
        source.mkdir()
        (source / "recording.nwb").write_bytes(nwb.read_bytes()[:-5_000])
    else:
        shutil.copytree(spikeglx, source)
        [meta] = source.rglob("*.ap.meta")
        meta.write_text(meta.read_text().replace("imSampRate=30000.0", "imSampRate=nan"))
    job = run_job(
        tmp_path / "job",
        {"SOURCE_FOLDER": str(source), "DATA_TYPE": data_type, "SORTERS": "simple"},
    )
    assert job.exit_code == 65, job.log
    assert "Traceback" not in job.log
    assert len(job.errors) == 1
