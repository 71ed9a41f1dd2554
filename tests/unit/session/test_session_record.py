"""The schema of `session.json`."""

from pathlib import Path

import pytest

from spikeinterface_cloud.session.record import json_schema, total

ROOT = Path(__file__).parents[3]
SCHEMA_FILE = "spikeinterface_cloud/session/session.schema.json"


def test_schema_in_the_repository_is_current() -> None:
    assert (ROOT / SCHEMA_FILE).read_text() == json_schema(), (
        f"run python -m spikeinterface_cloud.session.record > {SCHEMA_FILE}"
    )


@pytest.mark.parametrize(
    ("costs", "expected"), [([1.5, 2.0], 3.5), ([1.5, None], None), ([None], None), ([], None)]
)
def test_cost_is_unknown_if_that_of_one_stream_is(
    costs: list[float | None], expected: float | None
) -> None:
    assert total(costs) == expected
