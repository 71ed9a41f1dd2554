"""Variables of a job that do not fit its files."""

import json
from collections.abc import Callable, Iterator

import numpy as np
from probeinterface import write_probeinterface

from tests.support.recordings import neuropixels_probe
from tools.zoo.specimen import PROBE_FILE, Breakage, NotApplicable, Specimen

Change = Callable[[Specimen], None]

#: readers of files that are alike
MIX_UPS = {
    "binary": ("zarr", "neuroscope", "whitematter"),
    "zarr": ("zarr_array", "binary", "nwb"),
    "zarr_array": ("zarr", "nwb"),
    "nwb": ("nwb_timeseries", "zarr", "maxwell"),
    "nwb_timeseries": ("nwb", "mcsh5"),
    "spikeglx": ("cbin_ibl", "binary", "openephys"),
    "cbin_ibl": ("spikeglx", "binary"),
    "openephys": ("binary", "spikeglx"),
    "intan": ("split_intan_files", "binary"),
    "split_intan_files": ("intan",),
    "blackrock": ("neuralynx", "binary"),
    "maxwell": ("nwb", "mcsh5", "biocam"),
    "mcsh5": ("maxwell", "mearec"),
    "plexon": ("plexon2", "blackrock"),
    "neuroscope": ("binary", "mda"),
    "whitematter": ("binary", "mcsraw"),
    "mda": ("binary", "neuroscope"),
    "tdt": ("neuralynx", "blackrock"),
}


def _set(**values: str) -> Change:
    def change(specimen: Specimen) -> None:
        specimen.variables.update(values)

    return change


def _other_reader(number: int) -> Change:
    def change(specimen: Specimen) -> None:
        others = MIX_UPS.get(specimen.layout.data_type, ("spikegadgets", "edf"))
        if number >= len(others):
            raise NotApplicable("no other reader takes it")
        specimen.variables["DATA_TYPE"] = others[number]

    return change


def _kwargs(**changes: object) -> Change:
    def change(specimen: Specimen) -> None:
        specimen.edit_kwargs(**changes)

    return change


def _given(name: str, value: object) -> Change:
    """Change an argument that the layout needs."""

    def change(specimen: Specimen) -> None:
        kwargs = json.loads(specimen.variables.get("READ_RECORDING_KWARGS", "{}"))
        if name not in kwargs:
            raise NotApplicable(f"{name} is in the files")
        if kwargs[name] == value:
            raise NotApplicable("it is right")
        specimen.edit_kwargs(**{name: value})

    return change


def _probe_of(n_contacts: int) -> Change:
    """Give a probe with another number of contacts."""

    def change(specimen: Specimen) -> None:
        if n_contacts < specimen.truth.n_channels and "PROBE_FILE" not in specimen.variables:
            raise NotApplicable("a smaller probe chooses among the channels of the file")
        probe = neuropixels_probe(n_contacts)
        (specimen.source / PROBE_FILE).unlink(missing_ok=True)
        write_probeinterface(specimen.source / PROBE_FILE, probe)
        specimen.variables["PROBE_FILE"] = PROBE_FILE

    return change


def _probe_text(text: str) -> Change:
    def change(specimen: Specimen) -> None:
        (specimen.source / PROBE_FILE).write_text(text)
        specimen.variables["PROBE_FILE"] = PROBE_FILE

    return change


def _probe_at_one_place(specimen: Specimen) -> None:
    probe = neuropixels_probe(specimen.truth.n_channels)
    probe._contact_positions = np.zeros((specimen.truth.n_channels, 2))
    write_probeinterface(specimen.source / PROBE_FILE, probe)
    specimen.variables["PROBE_FILE"] = PROBE_FILE


def _without_probe(specimen: Specimen) -> None:
    if "PROBE_FILE" not in specimen.variables:
        raise NotApplicable("the files hold the positions")
    del specimen.variables["PROBE_FILE"]


def _argument_breakages() -> Iterator[Breakage]:
    values: dict[str, tuple[object, ...]] = {
        "sampling_frequency": (0, -30_000, "fast", 1e12, 30.0, None),
        "dtype": ("int16", "int32", "float64", "uint8", ">i2", "object", "sample", None),
        "num_channels": (0, -8, 7, 4, 16, 8.5, 10**9, None),
        "gain_to_uV": (0, "high", 1e9, 1e-9),
        "stream_id": ("imec7.ap", "imec0.lf", 0),
        "timeseries_path": ("acquisition/Other", "general", None),
    }
    for name, wrong in values.items():
        for value in wrong:
            yield Breakage(
                name=f"{name}: {json.dumps(value)}",
                change=_given(name, value),
                # which another number of channels contradicts
                noticed_by=frozenset({"shape"} if name == "num_channels" else ()),
                said="gains are not used" if name == "gain_to_uV" else None,
            )


BROKEN_VARIABLES = (
    *(
        Breakage(name=f"another DATA_TYPE ({number + 1})", change=_other_reader(number))
        for number in range(3)
    ),
    Breakage(name="DATA_TYPE misspelled", change=_set(DATA_TYPE="spikeglxx")),
    Breakage(name="DATA_TYPE left out", change=_set(DATA_TYPE="")),
    Breakage(name="arguments are no JSON", change=_set(READ_RECORDING_KWARGS="{'a': 1}")),
    Breakage(name="an unknown argument", change=_kwargs(speed=3)),
    Breakage(name="an unknown stream", change=_kwargs(stream_name="Probe Z")),
    Breakage(name="a probe of 9 contacts", change=_probe_of(9)),
    Breakage(name="a probe without contacts", change=_probe_text('{"probes": []}')),
    Breakage(name="a probe that is no JSON", change=_probe_text("probe: 8")),
    Breakage(name="all contacts at one place", change=_probe_at_one_place),
    Breakage(name="no probe", change=_without_probe),
    Breakage(name="PROBE_FILE missing", change=_set(PROBE_FILE="no.json")),
    *_argument_breakages(),
)
