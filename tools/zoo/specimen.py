"""One input of a job: the files of a layout, which a breakage changes, and the job's variables."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from probeinterface import write_probeinterface

from tools.zoo.layout import Fact, Layout
from tools.zoo.truth import Truth

PROBE_FILE = "probe.json"


class NotApplicable(Exception):
    """A breakage that a layout has no place for."""


@dataclass(kw_only=True, slots=True)
class Specimen:
    """The files of a layout, and the variables of the job that sorts them."""

    layout: Layout
    #: file or folder
    source: Path
    #: what results have to hold
    truth: Truth
    #: of the job, without its folders
    variables: dict[str, str]

    @property
    def data_files(self) -> list[Path]:
        """The files that hold samples."""
        if self.source.is_file():
            return [self.source]
        return sorted(path for path in self.source.rglob(self.layout.data) if path.is_file())

    @property
    def data_file(self) -> Path:
        """The file in the middle of those that hold samples."""
        files = self.data_files
        return files[len(files) // 2]

    @property
    def companions(self) -> list[Path]:
        """Other files, one of each kind: the names without digits are a kind."""
        data = set(self.data_files)
        kinds: dict[str, Path] = {}
        for path in sorted(self.source.rglob("*")):
            if path.is_file() and path not in data and path.name != PROBE_FILE:
                kind = "".join(character for character in path.name if not character.isdigit())
                kinds.setdefault(f"{path.parent.name}/{kind}", path)
        return list(kinds.values())

    def edit_kwargs(self, **changes: object) -> None:
        """Change READ_RECORDING_KWARGS; None takes an argument out."""
        kwargs = json.loads(self.variables.get("READ_RECORDING_KWARGS", "{}")) | changes
        kept = {name: value for name, value in kwargs.items() if value is not None}
        self.variables["READ_RECORDING_KWARGS"] = json.dumps(kept)


@dataclass(frozen=True, kw_only=True, slots=True)
class Breakage:
    """A way in which an input is broken: applicable to any layout."""

    name: str
    #: changes the samples before they are written
    samples: Callable[[np.ndarray], np.ndarray] | None = None
    #: whether such samples are integers
    integers_only: bool = False
    #: changes files and variables; raises NotApplicable
    change: Callable[[Specimen], None] | None = None
    #: facts, any of which lets a reader notice; empty: it has to be noticed in every layout
    noticed_by: frozenset[Fact] = field(default_factory=frozenset)
    #: a note of the job with these words, which says enough, if it succeeds
    said: str | None = None
    #: whether the job has to succeed all the same
    harmless: bool = False


def write_specimen(folder: Path, layout: Layout, truth: Truth, breakage: Breakage) -> Specimen:
    """Write the files of a layout into a new folder, broken.

    Raises
    ------
    NotApplicable
        the layout has no place for the breakage
    """
    folder.mkdir(parents=True)
    if breakage.samples is not None:
        truth = truth.with_samples(breakage.samples(truth.samples))
        if truth.samples.dtype.kind == "f" and layout.floats == "never":
            raise NotApplicable(f"{layout.name} holds integers")
        if breakage.integers_only and layout.floats == "always":
            raise NotApplicable(f"{layout.name} holds floats")
    try:
        written = layout.write(folder, truth)
        if written.needs_probe:
            write_probeinterface(folder / written.source / PROBE_FILE, written.truth.probe)
    except Exception as error:
        if breakage.samples is None:
            raise
        raise NotApplicable(f"{layout.name} cannot hold it: {error!r}") from error
    source = folder / written.source
    variables = {
        "SOURCE_FOLDER": str(source),
        "DATA_TYPE": layout.data_type,
        "SORTERS": "simple",
        "ARCHIVE": "zarr",
        "N_JOBS": "1",
    }
    if written.kwargs:
        variables["READ_RECORDING_KWARGS"] = json.dumps(written.kwargs)
    if written.needs_probe:
        variables["PROBE_FILE"] = PROBE_FILE
    specimen = Specimen(layout=layout, source=source, truth=written.truth, variables=variables)
    if breakage.change is not None:
        breakage.change(specimen)
    return specimen
