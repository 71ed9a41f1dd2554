"""Whether neo reads the channels of an Axona recording as what they are."""

from neo.rawio import AxonaRawIO

from spikeinterface_cloud.errors import RecordingError


def check_tetrodes(reader: AxonaRawIO) -> None:
    """Refuse active tetrodes that are not the first ones of the board.

    neo counts names and gains on from the first active tetrode, and reads the first channels of the
    board where only some are asked for (neo's issue 1454).
    """
    active = [int(number) for number in reader.get_active_tetrode()]
    if active != list(range(1, len(active) + 1)):
        listing = ", ".join(map(str, active))
        raise RecordingError(
            f"the active tetrodes are {listing}, and the reader (neo) takes channels for others "
            "unless they are the first ones (1, 2, ...); open the .set with SpikeInterface's "
            "read_axona, whose channels are these tetrodes in order, correct names and gains with "
            "set_property and set_channel_gains, save it whole with recording.save(folder=...), "
            "and set DATA_TYPE=binary"
        )
