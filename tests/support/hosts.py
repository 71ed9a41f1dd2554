"""Hosts that attempt the same job one after the other, each with its results folder."""

from __future__ import annotations

from pathlib import Path

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.outcomes import ExportRun, SorterRun
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.results.sorter_folder import SorterFolder
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts
from tests.support.servers import S3Server

RUN = SorterRun(
    sorter="simple",
    outcome="sorted",
    n_units=3,
    labels={"good": 3},
    seconds=4.5,
    parameters={"seed": 1},
    version="1.0",
)


class Host:
    """A host with a results folder, and the target it shares with other hosts."""

    def __init__(
        self,
        folder: Path,
        server: S3Server | None,
        bucket: str,
        timeouts: NetworkTimeouts | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.results = Results(
            folder,
            S3Location(bucket=bucket, key="results") if server else None,
            Storage(server.access, timeouts=timeouts) if server else None,
            RunRecord(settings={}, run_identifier=None),
        )
        self.results.check_target()
        self._server = server
        self._bucket = bucket

    def attempt(self, fingerprint: str = "a") -> SorterFolder:
        """Start a new attempt, which loads earlier results."""
        folder = SorterFolder("simple", fingerprint, self.results)
        folder.load_state()
        return folder

    def kept(self, name: str = "simple") -> dict[str, bytes]:
        """Return the files of a results folder: at the target, if there is one."""
        if self._server is None:
            folder = self.results.folder / name
            return {
                file.relative_to(folder).as_posix(): file.read_bytes()
                for file in folder.rglob("*")
                if file.is_file()
            }
        client, prefix = self._server.client, f"results/{name}/".replace("//", "/")
        listed = client.list_objects_v2(Bucket=self._bucket, Prefix=prefix).get("Contents", [])
        return {
            entry["Key"].removeprefix(prefix): client.get_object(
                Bucket=self._bucket, Key=entry["Key"]
            )["Body"].read()
            for entry in listed
        }

    def put(self, name: str, content: bytes, folder: str = "simple") -> None:
        """Change a file in a results folder, as somebody else might."""
        if self._server is not None:
            key = f"results/{folder}/{name}".replace("//", "/")
            self._server.client.put_object(Bucket=self._bucket, Key=key, Body=content)
            return
        file = self.results.folder / folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def write(folder: SorterFolder, **files: str) -> None:
    """Write files by name, with `__` for the slash."""
    for name, content in files.items():
        file = folder.path / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def sort(folder: SorterFolder, found: str) -> None:
    """Run a sorter with this result."""
    folder.clear()
    write(folder, raw_sorting__spikes=found)
    (folder.path / "output.log").write_text(f"finding {found}")
    folder.finish_sorting(RUN)


def analyze(folder: SorterFolder, found: str) -> None:
    """Analyze and export the sorter's result."""
    write(folder, sorting__spikes=f"curated {found}", phy__params=found)
    (folder.path / "analyzer.zarr").mkdir(exist_ok=True)
    (folder.path / "analyzer.zarr" / "templates").write_text(found)
    export = ExportRun(sorter="simple", export="phy", path="simple/phy")
    folder.finish(RUN, [export])
