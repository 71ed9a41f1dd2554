"""The cosine similarity of templates as one product of matrices.

SpikeInterface compiles a program for it first, which takes 10 to 20 seconds of CPU in every job.
Where templates are zero outside their unit's channels, as those of a sparse analyzer are, the
product is the same: channels that one of two units lacks add nothing to it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import spikeinterface as si
from spikeinterface.core.template_tools import get_dense_templates_array
from spikeinterface.postprocessing.template_similarity import ComputeTemplateSimilarity


def compute_template_similarity(analyzer: si.SortingAnalyzer) -> None:
    """Add the extension `template_similarity`, with its default parameters, to a sparse analyzer.

    Templates have to be there.
    """
    extension = _MatrixProduct(analyzer)
    extension.set_params(save=True)
    extension.run(save=True)
    analyzer.extensions[extension.extension_name] = extension


class _MatrixProduct(ComputeTemplateSimilarity):  # type: ignore[misc]  # has no types
    """SpikeInterface's extension, which reads it again, with another way to the same numbers."""

    def _run(self, verbose: bool = False) -> None:  # noqa: ARG002 -- as the base class has it
        templates = get_dense_templates_array(
            self.sorting_analyzer, return_in_uV=self.sorting_analyzer.return_in_uV
        )
        self.data["similarity"] = cosine_similarity(templates)


def cosine_similarity(templates: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The cosine of the angle between each two templates; 0 beside one that is flat.

    Parameters
    ----------
    templates
        units x samples x channels, zero on the channels that a unit lacks
    """
    flat = templates.reshape(len(templates), -1).astype("float64")
    norms = np.linalg.norm(flat, axis=1)
    flat /= np.where(norms > 0, norms, 1.0)[:, np.newaxis]
    return np.asarray(flat @ flat.T, dtype="float32")
