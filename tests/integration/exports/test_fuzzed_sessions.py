"""Damaged or made-up sessions of an NWB source: exported as they are, or refused before sorting."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.extractors as se

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.exports.export import Sorted, export, plan_exports
from tests.integration.exports.test_nwb import MOUSE, SESSION
from tests.support.exports import SORTER, Exported, export_truth
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import simulate

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    # readers warn of what they find in damaged files, each in its own words
    pytest.mark.filterwarnings("ignore"),
]

N_CASES = int(os.environ.get("FUZZED_SESSIONS", "60"))

Mutation = Callable[[h5py.File, str], None]


def replaced_by(value: Any) -> Mutation:
    def mutate(file: h5py.File, place: str) -> None:
        del file[place]
        file[place] = value

    return mutate


def emptied(file: h5py.File, place: str) -> None:
    del file[place]
    file.create_group(place)


def made_a_group_of_all(file: h5py.File, place: str) -> None:
    del file[place]
    group = file.create_group(place)
    group.attrs["neurodata_type"] = "Device"
    group["root"] = file["/"]


def removed(file: h5py.File, place: str) -> None:
    del file[place]


#: of a group or dataset
MUTATIONS: Mapping[str, Mutation] = {
    "removed": removed,
    "an empty group": emptied,
    "a group with the root in it": made_a_group_of_all,
    "a dangling link": replaced_by(h5py.SoftLink("/nowhere")),
    "a link to itself": lambda file, place: replaced_by(h5py.SoftLink(place))(file, place),
    "an external link": replaced_by(h5py.ExternalLink("nowhere.h5", "/")),
    "a number": replaced_by(7),
    "NaN": replaced_by(np.nan),
    "a matrix": replaced_by(np.zeros((3, 2))),
    "numbers": replaced_by(np.arange(4)),
    "no text": replaced_by(""),
    "a text": replaced_by("x\n\x1b[31m"),
    "texts": replaced_by(["a", "a", "b"]),
    "bytes": replaced_by(np.bytes_(b"\xff\xfe\xc3")),
    "a reference": lambda file, place: replaced_by(file["general"].ref)(file, place),
}

#: in place of an attribute
ATTRIBUTES: Mapping[str, Any] = {
    "a number": 7,
    "numbers": np.arange(3),
    "bytes": np.bytes_(b"\xff\xfe"),
    "no text": "",
    "texts": ["a", "b"],
}


def places(file: h5py.File) -> Iterator[tuple[str, str | None]]:
    """The metadata of a file: each group and dataset, and each of their attributes."""
    found = ["session_description", "session_start_time", "timestamps_reference_time"]
    file["general"].visit(lambda name: found.append(f"general/{name}"))
    for place in found:
        yield place, None
        for attribute in file[place].attrs:
            yield place, attribute


def cases(file: h5py.File) -> list[tuple[str, str | None, str]]:
    return [
        (place, attribute, name)
        for place, attribute in places(file)
        for name in (MUTATIONS if attribute is None else ATTRIBUTES)
    ]


def mutate(file: Path, place: str, attribute: str | None, name: str) -> None:
    with h5py.File(file, "r+") as opened:
        if attribute is None:
            MUTATIONS[name](opened, place)
        else:
            opened[place].attrs[attribute] = ATTRIBUTES[name]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exported]:
    folder = tmp_path_factory.mktemp("session")
    recording, truth = simulate(duration_s=3.0, n_channels=4, n_units=2)
    layout = NwbLayout(subject=MOUSE, session=SESSION)
    file = write_nwb(folder / "source.nwb", recording, layout)
    return file, export_truth([], se.read_nwb_recording(file), truth, folder / "results")


def test_sessions_are_exported_or_refused_before_sorting(
    source: tuple[Path, Exported], tmp_path: Path
) -> None:
    original, exported = source
    recording = si.load(exported.folder.parents[1] / "preprocessed")
    seed = int(os.environ.get("SESSION_SEED", random.randrange(10**6)))
    with h5py.File(original) as opened:
        every = cases(opened)
    chosen = random.Random(seed).sample(every, min(N_CASES, len(every)))
    ends: Counter[str] = Counter()
    faults = []
    for number, case in enumerate(chosen):
        # the reader keeps the file of the case before open
        file = Path(shutil.copy(original, tmp_path / f"{number}.nwb"))
        mutate(file, *case)
        try:
            opened = se.read_nwb_recording(file)
        except Exception:  # refused when it is opened, which other tests show
            ends["not opened"] += 1
            continue
        try:
            plan = plan_exports(["nwb"], opened, {}, exported.folder.parent)
        except RecordingError as error:
            message = str(error)
            assert message.startswith("EXPORTS=nwb: the source's session"), (seed, case, message)
            assert "\n" not in message, (seed, case, message)
            ends["refused"] += 1
            continue
        except Exception as error:
            faults.append((case, repr(error)[:200]))
            continue
        found = Sorted(sorter=SORTER, version=None, recording=recording)
        [run] = export(replace(plan, formats=["nwb"]), found)
        if run.error is not None:
            faults.append((case, run.error[:200]))
        ends["exported"] += 1
    print(f"SESSION_SEED={seed}: {len(chosen)} of {len(every)} cases, {dict(ends)}")
    assert faults == [], f"SESSION_SEED={seed}: {len(faults)} of {len(chosen)}"
    assert ends["exported"] > len(chosen) / 3
