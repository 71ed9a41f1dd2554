"""Random numbers that are the same in each run, in the process of a sorter.

SpikeInterface's sorters measure noise on random excerpts, and draw noise of their own, without the
seed that they are given. Neither they nor NumPy have a setting for it, therefore NumPy's function
is replaced here. With several workers some sorters depend on chance nevertheless: they learn from
the first peaks that the workers together have found.
"""

import functools
import random
from typing import Any

import numpy as np

#: what a sorter's random numbers begin with, where none is given
SEED = 0


def seed_random_numbers(seed: int) -> None:
    """Let NumPy's generators that are given no seed begin with seeds that follow `seed`.

    Those are `default_rng` and the functions of `numpy.random`; `RandomState` and other libraries'
    own generators are not among them. A worker process that is forked goes on with its parent's.

    Parameters
    ----------
    seed
        from 0 to 2**32 - 1
    """
    random.seed(seed)
    np.random.seed(seed)  # scipy and scikit-learn draw from it
    sequence = np.random.SeedSequence(seed)
    make_generator = np.random.default_rng

    @functools.wraps(make_generator)
    def default_rng(seed: Any = None) -> np.random.Generator:
        return make_generator(sequence.spawn(1)[0] if seed is None else seed)

    np.random.default_rng = default_rng
