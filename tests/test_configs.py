from pathlib import Path

import pytest

from nt_run.config import load_config
from nt_run.strategies.resolver import check_params, resolve_strategy

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_can_be_run(path: Path) -> None:
    config = load_config(path)
    check_params(resolve_strategy(config.strategy.name), config.strategy.params)


def test_there_are_configurations_to_start_from() -> None:
    assert len(CONFIGS) >= 2
