import pytest

from nt_run.data.weight import DEFAULT_LIMIT, WeightLedger


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def ledger(clock: Clock, told: list[str]) -> WeightLedger:
    return WeightLedger(clock=clock, sleep=clock.sleep, notice=told.append)


def test_requests_wait_for_the_next_minute_before_the_limit_is_reached(
    ledger: WeightLedger, clock: Clock, told: list[str]
) -> None:
    for _ in range(DEFAULT_LIMIT * 2):
        ledger.spend(1)
    assert len(clock.slept) == 2
    assert all(0 < pause <= 61 for pause in clock.slept)
    assert "request budget is used up (2280 of 2400)" in told[0]


def test_what_other_programs_spent_counts(ledger: WeightLedger, clock: Clock) -> None:
    ledger.note({"X-MBX-USED-WEIGHT-1M": "2279"})
    ledger.spend(1)
    assert clock.slept == []
    ledger.spend(1)
    assert len(clock.slept) == 1
    assert ledger.used == 1


def test_a_new_minute_begins_at_nothing(ledger: WeightLedger, clock: Clock) -> None:
    ledger.spend(2000)
    clock.now += 60
    ledger.spend(2000)
    assert clock.slept == []


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        ([{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 600}], 600),
        ([{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 5, "limit": 6000}], 1200),
        ([{"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 600}], DEFAULT_LIMIT),
        ([{"rateLimitType": "REQUEST_WEIGHT", "interval": "EON", "limit": 600}], DEFAULT_LIMIT),
        (None, DEFAULT_LIMIT),
    ],
)
def test_the_limit_is_what_the_exchange_says(ledger: WeightLedger, limits: object, limit: int) -> None:
    ledger.learn_limit(limits)
    assert ledger.limit == limit
