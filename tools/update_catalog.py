"""Write snapshot.json from the installed SpikeInterface.

    python -m tools.update_catalog

Run it after an upgrade of SpikeInterface or Kilosort4; a test fails until then.
"""

import json
from importlib.metadata import version
from typing import Any

import spikeinterface.sorters as ss
from spikeinterface.sorters.sorterlist import sorter_dict

from spikeinterface_cloud.config.catalog.snapshot import FILE
from spikeinterface_cloud.preprocessing.pipeline import step_names
from spikeinterface_cloud.recording.formats.readers import find_reader, reader_names
from spikeinterface_cloud.sorting.availability import COMPILED_BASES


def installed_names() -> dict[str, Any]:
    """Return the content of the snapshot; needs all sorters of requirements/gpu.txt."""
    readers = [find_reader(name) for name in reader_names()]
    ours = {*ss.installed_sorters(), *COMPILED_BASES}
    return {
        "versions": {name: version(name) for name in ("spikeinterface", "kilosort")},
        "readers": {
            reader.name: {
                "path_parameter": reader.path_parameter,
                "parameters": list(reader.parameters),
                "required": list(reader.required),
                "booleans": dict(reader.booleans),
            }
            for reader in readers
        },
        "sorters": {
            name: ss.get_default_sorter_params(name) if name in ours else None
            for name in sorted(ss.available_sorters())
        },
        "gpu_sorters": {
            name: sorter.gpu_capability
            for name, sorter in sorted(sorter_dict.items())
            if sorter.gpu_capability != "not-supported"
        },
        "usual": sorted(ss.installed_sorters()),
        "steps": {
            name: {
                "parameters": list(names.parameters),
                "passes_on": names.passes_on,
                "booleans": dict(names.booleans),
            }
            for name, names in sorted(step_names().items())
        },
    }


def file_text() -> str:
    """Return the text of the snapshot."""
    return json.dumps(installed_names(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(file_text(), encoding="utf-8")
