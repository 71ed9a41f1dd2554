"""Files that are broken after a layout has written them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from spikeinterface_cloud.recording.formats.hdf5 import largest_dataset
from tools.zoo.layout import Fact
from tools.zoo.specimen import PROBE_FILE, Breakage, NotApplicable, Specimen

Change = Callable[[Specimen], None]

#: what an S3 console, or a proxy, answers in place of a file
ERROR_PAGE = b"<html><head><title>403 Forbidden</title></head><body>Access denied</body></html>\n"
#: what git-lfs leaves in place of a file that was not fetched
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345678\n"

#: companions of a layout that are broken one by one
N_COMPANIONS = 4

NOTICED_SHORT: frozenset[Fact] = frozenset({"length", "structure", "digest"})


# ----- files with samples ------------------------------------------------------------------------


def _cut(file: Path, size: int) -> None:
    with file.open("r+b") as stream:
        stream.truncate(size)


def _half(specimen: Specimen) -> None:
    _cut(specimen.data_file, specimen.data_file.stat().st_size // 2 | 1)


def _without_end(specimen: Specimen) -> None:
    size = specimen.data_file.stat().st_size
    _cut(specimen.data_file, max(size - 1001, size // 2))


def _whole_pieces(files: Callable[[Specimen], list[Path]]) -> Change:
    """Cut a third of the samples off, between two of them."""

    def change(specimen: Specimen) -> None:
        piece = specimen.layout.piece_bytes
        if piece is None or len(files(specimen)) == 0:
            raise NotApplicable("no piece is whole in itself")
        for file in files(specimen):
            size = file.stat().st_size
            _cut(file, size - size // piece // 3 * piece)

    return change


def _several(specimen: Specimen) -> list[Path]:
    if len(specimen.data_files) == 1:
        raise NotApplicable("there is one file of samples")
    return specimen.data_files


def _empty(specimen: Specimen) -> None:
    _cut(specimen.data_file, 0)


def _missing(specimen: Specimen) -> None:
    specimen.data_file.unlink()


def _all_missing(specimen: Specimen) -> None:
    for file in _several(specimen):
        file.unlink()


def _overwrite(content: Callable[[int], bytes]) -> Change:
    """Overwrite a fifth in the middle, as a download does that left a hole."""

    def change(specimen: Specimen) -> None:
        size = specimen.data_file.stat().st_size
        with specimen.data_file.open("r+b") as stream:
            stream.seek(size * 2 // 5)
            stream.write(content(size // 5))

    return change


def _noise(size: int) -> bytes:
    return np.random.default_rng(0).bytes(size)


def _repeated(specimen: Specimen) -> None:
    """Put a second of the recording in the place of the next, as a resumed copy may."""
    piece = specimen.layout.piece_bytes
    if piece is None:
        raise NotApplicable("no piece is whole in itself")
    content = specimen.data_file.read_bytes()
    length = len(content) // piece // 5 * piece
    end = len(content) - length
    repeated = content[: end - length] + content[end - 2 * length : end - length]
    specimen.data_file.write_bytes(repeated + content[end:])


def _chunk_never_written(specimen: Specimen) -> None:
    """Write the samples again but for one chunk, as an acquisition that crashed."""
    if not h5py.is_hdf5(specimen.data_file):
        raise NotApplicable("it is not HDF5")
    with h5py.File(specimen.data_file, "r+") as file:
        dataset = largest_dataset(file)
        if dataset is None or dataset.chunks is None:
            raise NotApplicable("it has no chunks")
        name, samples = dataset.name, dataset[:]
        attributes, chunks = dict(dataset.attrs), dataset.chunks
        del file[name]
        again = file.create_dataset(name, samples.shape, samples.dtype, chunks=chunks)
        again.attrs.update(attributes)
        for number, places in enumerate(again.iter_chunks()):
            if number != 2:
                again[places] = samples[places]


def _longer(size: int | None) -> Change:
    """Append noise: bytes of no meaning, or whole pieces (None)."""

    def change(specimen: Specimen) -> None:
        piece = specimen.layout.piece_bytes
        if size is None and piece is None:
            raise NotApplicable("no piece is whole in itself")
        n_bytes = size if size is not None else (piece or 0) * 3000
        with specimen.data_file.open("ab") as stream:
            stream.write(_noise(n_bytes))

    return change


def _replaced_by(content: bytes) -> Change:
    def change(specimen: Specimen) -> None:
        specimen.data_file.write_bytes(content)

    return change


def _folder_in_its_place(specimen: Specimen) -> None:
    file = specimen.data_file
    file.unlink()
    file.mkdir()


def _dangling_link(specimen: Specimen) -> None:
    file = specimen.data_file
    file.unlink()
    file.symlink_to("../.git/annex/objects/Xx/Yy/MD5E-s1--0.dat")


def _unreadable(specimen: Specimen) -> None:
    specimen.data_file.chmod(0)


def _copy_beside(specimen: Specimen) -> None:
    file = specimen.data_file
    shutil.copyfile(file, file.with_name(f"Copy of {file.name}"))


# ----- the source --------------------------------------------------------------------------------


def _source_unreadable(specimen: Specimen) -> None:
    specimen.source.chmod(0)


def _source_missing(specimen: Specimen) -> None:
    specimen.source.rename(specimen.source.with_name("elsewhere"))


def _source_empty(specimen: Specimen) -> None:
    shutil.rmtree(specimen.source)
    specimen.source.mkdir()


def _second_recording(specimen: Specimen) -> None:
    """Put the recording, and a copy of it, into folders of the source."""
    source = specimen.source
    pair = source.with_name("pair")
    pair.mkdir()
    shutil.copytree(source, pair / f"first{source.suffix}")
    shutil.copytree(source, pair / f"second{source.suffix}")
    if (source / PROBE_FILE).is_file():
        shutil.copyfile(source / PROBE_FILE, pair / PROBE_FILE)
    specimen.variables["SOURCE_FOLDER"] = str(pair)


def _folder_around(specimen: Specimen) -> None:
    """Name the folder around the recording, as copies often have one more level."""
    source = specimen.source
    around = source.with_name("around")
    around.mkdir()
    shutil.copytree(source, around / source.name)
    if (source / PROBE_FILE).is_file():
        shutil.move(around / source.name / PROBE_FILE, around / PROBE_FILE)
    specimen.variables["SOURCE_FOLDER"] = str(around)


def _upper_case(specimen: Specimen) -> None:
    """Give every file an upper-case ending, as Windows does."""
    for path in sorted(specimen.source.rglob("*")):
        if path.is_file() and path.name != PROBE_FILE:
            path.rename(path.with_suffix(path.suffix.upper()))


# ----- other files -------------------------------------------------------------------------------


def _companion(number: int, change: Callable[[Path], object]) -> Change:
    def changing(specimen: Specimen) -> None:
        companions = specimen.companions
        if number >= len(companions):
            raise NotApplicable(f"there are {len(companions)} other files")
        # the first, the last, and some between
        change(companions[number * len(companions) // min(N_COMPANIONS, len(companions))])

    return changing


def _cut_in_half(file: Path) -> None:
    _cut(file, file.stat().st_size // 2)


def _garble(file: Path) -> None:
    file.write_bytes(_noise(file.stat().st_size))


def _companion_breakages() -> Iterator[Breakage]:
    ways: dict[str, Callable[[Path], object]] = {
        "missing": Path.unlink,
        "empty": lambda file: _cut(file, 0),
        "cut in half": _cut_in_half,
        "of noise": _garble,
        "unreadable": lambda file: file.chmod(0),
    }
    for way, change in ways.items():
        for number in range(N_COMPANIONS):
            # of a file of gains alone: they are left out where they cannot be
            said = r"gains are not used" if way == "of noise" else None
            name = f"other file {number + 1} {way}"
            yield Breakage(name=name, change=_companion(number, change), said=said)


COUNTER: frozenset[Fact] = frozenset({"counter", "digest"})

BROKEN_FILES = (
    Breakage(name="whole", harmless=True),
    Breakage(name="cut in half", change=_half, noticed_by=NOTICED_SHORT),
    Breakage(name="last 1001 bytes cut off", change=_without_end, noticed_by=NOTICED_SHORT),
    Breakage(
        name="a third of the samples cut off",
        change=_whole_pieces(lambda specimen: [specimen.data_file]),
        noticed_by=NOTICED_SHORT,
    ),
    Breakage(
        name="a third cut off every file of samples",
        change=_whole_pieces(_several),
        noticed_by=NOTICED_SHORT,
    ),
    Breakage(name="empty", change=_empty),
    Breakage(name="missing", change=_missing),
    Breakage(name="every file of samples missing", change=_all_missing),
    Breakage(
        name="a hole of zeros",
        change=_overwrite(bytes),
        noticed_by=COUNTER,
        said=r"constant|zero|runs backwards",  # samples, or the times of samples
    ),
    Breakage(
        name="noise in the middle",
        change=_overwrite(_noise),
        noticed_by=COUNTER,
        said=r"times their usual noise",
    ),
    Breakage(
        name="a fifth there twice",
        change=_repeated,
        noticed_by=COUNTER,
        said=r"runs backwards",
    ),
    Breakage(name="a chunk never written", change=_chunk_never_written),
    Breakage(name="999 bytes appended", change=_longer(999), noticed_by=NOTICED_SHORT),
    Breakage(
        name="samples appended",
        change=_longer(None),
        noticed_by=NOTICED_SHORT,
        said=r"timestamps end",
    ),
    Breakage(name="an error page in its place", change=_replaced_by(ERROR_PAGE)),
    Breakage(name="a pointer of git-lfs in its place", change=_replaced_by(POINTER)),
    Breakage(name="a folder in its place", change=_folder_in_its_place),
    Breakage(name="a dangling link in its place", change=_dangling_link),
    Breakage(name="unreadable", change=_unreadable),
    Breakage(name="a copy beside it", change=_copy_beside),
    Breakage(name="source unreadable", change=_source_unreadable),
    Breakage(name="source missing", change=_source_missing),
    Breakage(name="source empty", change=_source_empty),
    Breakage(name="two recordings in the source", change=_second_recording),
    Breakage(name="a folder around the source", change=_folder_around),
    Breakage(name="endings in upper case", change=_upper_case),
    *_companion_breakages(),
)
