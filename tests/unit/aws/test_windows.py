"""The laptop's modules are imported on Windows, simulated; test_installed_wheel.py runs them so."""

from __future__ import annotations

from pathlib import Path

from tests.support.windows import WITHOUT_POSIX
from tests.unit.aws.test_submit_help import run

IMPORT_ALL = """
import spikeinterface_cloud.aws, submit_job
names = [found.name for found in
         pkgutil.walk_packages(spikeinterface_cloud.aws.__path__, "spikeinterface_cloud.aws.")]
for name in names:
    __import__(name)
print(len(names))
"""


def test_every_module_of_the_laptop_is_imported_on_windows(tmp_path: Path) -> None:
    assert int(run(tmp_path, "-c", WITHOUT_POSIX + IMPORT_ALL).stdout) > 50
