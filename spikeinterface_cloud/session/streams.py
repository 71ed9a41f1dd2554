"""The job of each stream of a session: its variables, by those of the session."""

import json
from pathlib import Path

from spikeinterface_cloud.config.manifest import MANIFEST_URL
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.recording.formats.session_streams import SessionStream

#: variables of the session that the job of a stream must not have
OF_SESSION = ("STREAMS", MANIFEST_URL)


def stream_variables(
    settings: JobSettings, stream: SessionStream, clock: str, results_folder: Path
) -> dict[str, str]:
    """Return the variables of the job of one stream, without secrets.

    Parameters
    ----------
    settings
        of the session
    clock
        the folder of the reference stream, or `none`
    results_folder
        of the session
    """
    variables = settings.to_env()
    for name in OF_SESSION:
        variables.pop(name, None)
    variables["READ_RECORDING_KWARGS"] = json.dumps(dict(stream.kwargs))
    variables["CLOCK"] = clock
    variables["RESULTS_FOLDER"] = str(results_folder / stream.folder)
    if settings.target is not None:
        variables["TARGET_AWS_S3_BUCKET"] = settings.target.bucket
        variables["TARGET_AWS_S3_BUCKET_FOLDER"] = settings.target.child(stream.folder).key
    if settings.run_identifier is not None:
        variables["RUN_IDENTIFIER"] = f"{settings.run_identifier}/{stream.folder}"
    return variables
