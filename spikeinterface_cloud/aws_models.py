"""AWS's descriptions of its services, read in a fraction of the time that botocore takes.

They are most of what making a client costs: 3 MB of JSON, for which botocore makes an OrderedDict
of each object. A dict keeps the same order.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.loaders import JSONFileLoader, create_loader

if TYPE_CHECKING:
    from botocore.session import Session


def read_models_as_dicts(session: Session) -> None:
    """Let a session read descriptions as dicts; call it before it makes its first client."""
    loader = create_loader(session.get_config_variable("data_path"))
    loader.file_loader = _DictLoader()
    session.register_component("data_loader", loader)


class _DictLoader(JSONFileLoader):
    """Reads JSON files, compressed or not, as dicts."""

    def load_file(self, file_path: str) -> Any:
        """Return the content of a file, named without its ending; None if there is none."""
        for ending, opened in ((".json", open), (".json.gz", gzip.open)):
            if Path(file_path + ending).is_file():
                with opened(file_path + ending, "rb") as file:
                    return json.load(file)
        return None
