"""Peak memory of fetching, preprocessing and publishing, for a recording and one ten times as long.

    python benchmarks/memory.py [--duration-s 30]

Each step is a process of its own; the figure is that of its largest process. Mapped pages of files
count as memory, so that a step that maps a whole recording and walks through it would be caught.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from table import measure, print_head, print_memory  # noqa: E402

from tests.support.recordings import SpikeGlxRun, simulate, write_spikeglx  # noqa: E402
from tests.support.servers import S3Server, access_to, seaweedfs_server, upload_folder  # noqa: E402

LONGER = 10
BUCKET = "recordings"
RESULTS_BUCKET = "results"

#: written whatever the sorters are, as they are given and not chosen
PIPELINE = [
    {"name": "highpass_filter", "params": {"freq_min": 300.0}},
    {"name": "common_reference", "params": {"reference": "global", "operator": "median"}},
]

STEPS = ("fetch", "preprocess", "publish")


@click.command()
@click.option("--duration-s", default=30.0, show_default=True, help="length of the short recording")
@click.option("--channels", default=64, show_default=True, help="channels of both recordings")
def main(duration_s: float, channels: int) -> None:
    """Print the peaks of each step."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        recording, _ = simulate(duration_s=duration_s, n_channels=channels, n_units=2)
        for length in ("short", "long"):
            write_spikeglx(work / BUCKET / length, recording, SpikeGlxRun(with_lf=False))
        lengthen(work / BUCKET / "long")
        (work / "server").mkdir()
        with seaweedfs_server(work / "server") as server:
            upload_folder(server, work / BUCKET, BUCKET)
            server.client.create_bucket(Bucket=RESULTS_BUCKET)
            print_head(
                f"peak memory, {channels} channels",
                f"{duration_s:g} s",
                f"{LONGER * duration_s:g} s",
            )
            peaks = {length: peaks_of(server, work, length) for length in ("short", "long")}
            for step in STEPS:
                print_memory(step, peaks["short"][step], peaks["long"][step], "about 1")


def lengthen(folder: Path) -> None:
    """Repeat the samples of a SpikeGLX recording, on the disk, until it is ten times as long."""
    (file,) = folder.rglob("*.ap.bin")
    short = file.with_suffix(".short")
    file.rename(short)
    with file.open("wb") as stream:
        for _ in range(LONGER):
            with short.open("rb") as samples:
                shutil.copyfileobj(samples, stream, 8 * 1024 * 1024)
    short.unlink()
    meta = file.with_suffix(".meta")
    text = re.sub(r"fileSizeBytes=\d+", f"fileSizeBytes={file.stat().st_size}", meta.read_text())
    seconds = re.search(r"fileTimeSecs=([\d.]+)", text)
    assert seconds is not None
    longer = f"fileTimeSecs={LONGER * float(seconds[1])}"
    meta.write_text(text.replace(seconds[0], longer))


def peaks_of(server: S3Server, work: Path, length: str) -> dict[str, float]:
    """The peak of each step for the short or the long recording, in MiB."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        return {
            step: measure(
                [sys.executable, __file__, "--step", step, server.url, length], {}, folder
            ).peak_memory_mib
            for step in STEPS
        }


def fetch(url: str, length: str) -> None:
    """Fetch the recording as a job does."""
    from spikeinterface_cloud.config.locations import S3Location
    from spikeinterface_cloud.storage.download import download
    from spikeinterface_cloud.storage.remote_file import s3_files
    from spikeinterface_cloud.storage.session import Storage

    storage = Storage(access_to(url))
    location = S3Location(bucket=BUCKET, key=length)
    download(s3_files(storage, storage.list_objects(location), location), Path("fetched"))


def preprocess(_url: str, _length: str) -> None:
    """Filter and write the recording as a job does."""
    import spikeinterface as si
    from spikeinterface.extractors import read_spikeglx

    from spikeinterface_cloud.preprocessing.pipeline import preprocess as preprocess_recording
    from spikeinterface_cloud.runtime.host import workers

    si.set_global_job_kwargs(n_jobs=workers(None), chunk_duration="1s", progress_bar=False)
    recording = read_spikeglx("fetched", stream_id="imec0.ap")
    written = preprocess_recording(recording, PIPELINE, {"simple": {}}, Path("preprocessed"))
    assert written.size_bytes > 0, "nothing was written"


def publish(url: str, length: str) -> None:
    """Publish results of the size of the preprocessed recording as a job does."""
    from spikeinterface_cloud.config.locations import S3Location
    from spikeinterface_cloud.results.folder import Results
    from spikeinterface_cloud.results.run_record import RunRecord
    from spikeinterface_cloud.storage.session import Storage

    target = S3Location(bucket=RESULTS_BUCKET, key=length)
    record = RunRecord(settings={}, run_identifier=None)
    results = Results(Path.cwd(), target, Storage(access_to(url)), record)
    results.check_target()
    results.publish_files("preprocessed", list((Path.cwd() / "preprocessed").rglob("*")))
    assert record.steps[-1].size_bytes, "nothing was published"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        {"fetch": fetch, "preprocess": preprocess, "publish": publish}[sys.argv[2]](*sys.argv[3:])
    else:
        main()
