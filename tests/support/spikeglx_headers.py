"""Real SpikeGLX headers with simulated samples, and an independent reader of the headers.

The rules are those of SpikeGLX's own documentation and of its readers (SpikeGLX_Datafile_Tools):
nothing here goes through probeinterface, neo or the program under test.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

HEADERS = Path(__file__).parents[1] / "headers" / "spikeglx"

#: x of the leftmost contact in even and odd rows, pitch of columns and of rows (um), shank pitch
GEOMETRY = {
    "NP1100": (14.0, 14.0, 6.0, 6.0, 0.0),
    "NP1015": (27.0, 27.0, 32.0, 20.0, 0.0),
    "NP1030": (27.0, 11.0, 87.0, 20.0, 0.0),
    "NP2010": (27.0, 27.0, 32.0, 15.0, 250.0),
    "PRB2_1_2_0640_0": (27.0, 27.0, 32.0, 15.0, 0.0),
    "PRB_1_4_0480_1": (27.0, 11.0, 32.0, 20.0, 0.0),
    "PRB_1_4_0480_1_C": (27.0, 11.0, 32.0, 20.0, 0.0),
    "phase3a": (27.0, 11.0, 32.0, 20.0, 0.0),
}


class Header(dict[str, str]):
    """The lines of a meta file by key, and values derived from them."""

    @property
    def part_number(self) -> str:
        return self.get("imDatPrb_pn", "phase3a")

    @property
    def n_saved(self) -> int:
        return int(self["nSavedChans"])

    @property
    def ap_channels(self) -> np.ndarray:
        """The acquired numbers of the AP channels that were saved."""
        saved: list[int] = []
        for part in self["snsSaveChanSubset"].split(","):
            first, _, last = part.partition(":")
            saved += range(int(first), int(last or first) + 1)
        n_acquired = int(self["acqApLfSy"].split(",")[0])
        return np.array([channel for channel in saved if channel < n_acquired])

    @property
    def is_aligned(self) -> bool:
        """Whether CatGT has already aligned the channels, which it does by default."""
        command = self.get("catGTCmdline0")
        return command is not None and "-no_tshift" not in command

    def entries(self, table: str) -> list[str]:
        return re.findall(r"\(([^)]*)\)", self[f"~{table}"])

    @property
    def gains_uv(self) -> np.ndarray:
        """`imAiRangeMax / imMaxInt / gain`, in microvolts, of each AP channel."""
        probe_type = int(self.get("imDatPrb_type", 0))
        head, *rows = self.entries("imroTbl")
        match probe_type:
            case 0 | 1020 | 1030 | 1100:  # a gain for each channel
                gains = np.array([float(rows[c].split()[3]) for c in self.ap_channels])
            case 1110:  # one gain, in the head of the table
                gains = np.full(len(self.ap_channels), float(head.split(",")[3]))
            case 21 | 24:  # one fixed gain
                gains = np.full(len(self.ap_channels), 80.0)
            case _:
                gains = np.full(len(self.ap_channels), float(self["imChan0apGain"]))
        volts_per_step = float(self["imAiRangeMax"]) / int(self.get("imMaxInt", 512))
        return volts_per_step * 1e6 / gains

    @property
    def shanks(self) -> np.ndarray:
        sites = self.entries("snsGeomMap" if "~snsGeomMap" in self else "snsShankMap")[1:]
        return np.array([int(site.split(":")[0]) for site in sites])

    @property
    def positions_um(self) -> np.ndarray:
        """From the leftmost contact of the first shank on, along and across all shanks."""
        if "~snsGeomMap" in self:
            head, *sites = self.entries("snsGeomMap")
            shank_pitch = float(head.split(",")[2])
            values = np.array([site.split(":") for site in sites], dtype=float)
            return np.column_stack([values[:, 1] + values[:, 0] * shank_pitch, values[:, 2]])
        even, odd, across, along, shank_pitch = GEOMETRY[self.part_number]
        sites = self.entries("snsShankMap")[1:]
        shank, column, row, _ = np.array([site.split(":") for site in sites], dtype=int).T
        x = np.where(row % 2 == 0, even, odd) + column * across + shank * shank_pitch
        return np.column_stack([x, row * along])

    @property
    def sample_shifts(self) -> np.ndarray:
        """When in its sample each channel is read: an ADC serves 12 (1.0) or 16 (2.0) in turn.

        Neuropixels 1.0 spends a thirteenth turn on the LFP.
        """
        is_np2 = int(self.get("imDatPrb_type", 0)) in (21, 24, 2013, 2020)
        n_in_turn, n_turns = (16, 16) if is_np2 else (12, 13)
        return (self.ap_channels % (2 * n_in_turn)) // 2 / n_turns

    @property
    def multiplexed_shifts(self) -> np.ndarray | None:
        """The same from the table in recent headers."""
        if "~muxTbl" not in self:
            return None
        head, *turns = self.entries("muxTbl")
        n_turns = int(head.split(",")[1])
        turn = {int(c): number for number, row in enumerate(turns) for c in row.split()}
        has_lfp = int(self["acqApLfSy"].split(",")[1]) > 0
        if self.part_number == "NP2020" or int(self["imDatPrb_type"]) in (2013, 2020):
            has_lfp = False
        return np.array([turn[c] for c in self.ap_channels]) / (n_turns + has_lfp)

    @property
    def unused(self) -> np.ndarray:
        """Indices of the AP channels that are reference contacts, or were switched off."""
        sites = self.entries("snsGeomMap" if "~snsGeomMap" in self else "snsShankMap")[1:]
        return np.flatnonzero([site.endswith(":0") for site in sites])


def header_names() -> list[str]:
    return sorted(file.name for file in HEADERS.glob("*.meta"))


def read_header(name: str) -> Header:
    lines = (HEADERS / name).read_text().splitlines()
    return Header(line.split("=", 1) for line in lines if "=" in line)


def samples(header: Header, n_samples: int) -> np.ndarray:
    """Return noise that differs between channels, of shape (samples, saved channels)."""
    rng = np.random.default_rng(int(header.n_saved))
    block = rng.integers(-40, 40, (3000, header.n_saved), dtype="int16")
    return np.tile(block, (-(-n_samples // len(block)), 1))[:n_samples]


def write_with_header(
    folder: Path,
    header: Header,
    traces: np.ndarray,
    *,
    stem: str = "run_g0_t0",
    changes: Mapping[str, str | None] | None = None,
) -> Path:
    """Write a binary file and a matching header; return the binary file.

    `changes` go into the header last; None takes a key out.
    """
    device = "imec" if header.part_number == "phase3a" else "imec0"
    file = folder / f"{stem}.{device}.ap.bin"
    folder.mkdir(parents=True, exist_ok=True)
    traces.tofile(file)
    lines: dict[str, str | None] = {
        **header,
        "fileName": f"D:/data/{file.name}",
        "fileSizeBytes": str(traces.nbytes),
        "fileTimeSecs": str(len(traces) / float(header["imSampRate"])),
        **(changes or {}),
    }
    kept = [f"{key}={value}\n" for key, value in lines.items() if value is not None]
    file.with_suffix(".meta").write_text("".join(kept))
    return file
