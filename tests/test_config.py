from decimal import Decimal
from pathlib import Path

import pytest

from nt_run.config import ARCHIVE_URL, REST_URL, RunConfig, load_config
from nt_run.errors import UsageError
from nt_run.execution import Slippage
from nt_run.model import TimeRange, parse_time
from nt_run.settings import parse_setting, parse_timerange

FILE = """
symbol = "ETHUSDT"
interval = "5m"
start = "2025-05-04"
end = "2025-05-11"

[account]
balance = 2500.50

[strategy]
name = "rsi_reversion"
params = { period = 9 }
"""


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NT_RUN_REST_URL", raising=False)
    monkeypatch.delenv("NT_RUN_ARCHIVE_URL", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(FILE)
    return path


def test_the_built_in_run_is_a_week_of_btcusdt_minutes_at_two_per_cent() -> None:
    config = load_config()
    assert (config.symbol, config.interval, config.strategy.name) == ("BTCUSDT", "1m", "ema_cross")
    assert (config.account.balance, config.sizing.fraction, config.account.leverage) == (10_000, Decimal("0.02"), 1)
    assert (config.exchange.rest_url, config.exchange.archive_url) == (REST_URL, ARCHIVE_URL)
    now = parse_time("2025-05-11T00:00:30")
    assert config.time_range(now) == TimeRange(parse_time("2025-05-04"), parse_time("2025-05-11"))


def test_flags_win_over_the_file_and_the_file_over_the_built_in(file: Path) -> None:
    config = load_config(file, {"symbol": "BTC/USDT:USDT", "account.leverage": "3", "interval": None})
    assert (config.symbol, config.interval) == ("BTCUSDT", "5m")
    assert (config.account.balance, config.account.leverage) == (Decimal("2500.50"), 3)


def test_a_flag_wins_over_the_file_the_file_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NT_RUN_REST_URL", "http://environment")
    assert load_config().exchange.rest_url == "http://environment"
    path = tmp_path / "run.toml"
    path.write_text('[exchange]\nrest_url = "http://file"\n')
    assert load_config(path).exchange.rest_url == "http://file"
    assert load_config(path, {"exchange.rest_url": "http://flag"}).exchange.rest_url == "http://flag"


def test_a_kept_configuration_stays_on_its_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    path.write_text(load_config().to_toml())
    monkeypatch.setenv("NT_RUN_REST_URL", "http://elsewhere")
    assert load_config(path).exchange.rest_url == REST_URL


def test_tomls_own_dates_are_dates(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("start = 2025-05-04\nend = 2025-05-05T12:00:00Z\n")
    assert load_config(path).time_range(0) == TimeRange(parse_time("2025-05-04"), parse_time("2025-05-05T12:00"))


@pytest.mark.parametrize("text", ['strategy = "ema_cross"', "[[strategy]]"])
def test_a_value_where_a_table_belongs_is_explained(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match="strategy: it is a table"):
        load_config(path, {"strategy.params.fast": None})


def test_a_range_by_flag_replaces_the_files_range_as_a_whole(file: Path) -> None:
    assert load_config(file, {"days": "3"}).start is None
    assert load_config(file, {"end": "2025-06-01"}).start is None


def test_another_strategy_drops_the_files_parameters(file: Path) -> None:
    assert load_config(file).strategy.params == {"period": 9}
    assert load_config(file, {"strategy.name": "ema_cross"}).strategy.params == {}
    assert load_config(file, {"strategy.name": "rsi_reversion"}).strategy.params == {"period": 9}


def test_a_resolved_configuration_reads_back_equal_and_has_the_same_digest(tmp_path: Path) -> None:
    config = load_config(None, {"days": 2, "fees.vip": 3, "sizing.stop_distance": "0.015"})
    resolved = config.resolved(config.time_range(1_750_000_000_000), {"fast": 10, "threshold": Decimal("1.5")})
    path = tmp_path / "config.toml"
    path.write_text(resolved.to_toml())
    again = load_config(path)
    assert again == resolved
    assert again.digest("source") == resolved.digest("source") != resolved.digest("another source")
    assert (again.start, again.days) == ("2025-06-13T15:06:00Z", None)


def test_fees_say_where_they_come_from() -> None:
    assert load_config(None, {"fees.vip": 9}).trading_fees().taker == Decimal("0.00017")
    mixed = load_config(None, {"fees.taker": "0.0003"}).trading_fees()
    assert (mixed.maker, mixed.taker) == (Decimal("0.0002"), Decimal("0.0003"))
    assert mixed.source == "taker as configured; maker: Binance USDⓈ-M fee schedule, VIP 0"
    # VIP 3 pays takers 0.0320 %, a tenth less in BNB: 0.0288 %; what is configured stays as it is.
    mixed = load_config(None, {"fees.maker": "0.0001", "fees.vip": 3, "fees.bnb": True}).trading_fees()
    assert (mixed.maker, mixed.taker) == (Decimal("0.0001"), Decimal("0.000288"))
    assert mixed.source == "maker as configured; taker: Binance USDⓈ-M fee schedule, VIP 3, 10 % off in BNB"
    own = load_config(None, {"fees.maker": "0.0001", "fees.taker": "0.0004", "fees.vip": 0}).trading_fees()
    assert own.source == "maker and taker as configured"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"fees.vip": 3}, r"left for --vip \(fees\.vip\)\. Leave that out, or one of the fees"),
        ({"fees.bnb": True}, r"left for --bnb \(fees\.bnb\)"),
        ({"fees.vip": 3, "fees.bnb": True}, r"left for --vip and --bnb \(fees\.vip, fees\.bnb\)"),
    ],
)
def test_a_level_or_discount_that_could_do_nothing_is_refused(
    tmp_path: Path, asked: dict[str, object], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        load_config(None, {"fees.maker": "0.0001", "fees.taker": "0.0004", **asked})
    # The configuration of a finished run is read all the same.
    file = tmp_path / "config.toml"
    file.write_text('[fees]\nmaker = "0.0001"\ntaker = "0.0004"\nvip = 3\nbnb = true\n')
    assert load_config(file, kept=True).trading_fees().source == "maker and taker as configured"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("symbl", "x", "Did you mean 'symbol'"),
        ("sizing.fractoin", 1, r"\[sizing\] has no key 'fractoin'. Did you mean 'fraction'"),
        ("sizing.fraction", "2 per cent", "sizing.fraction: '2 per cent' is not a number"),
        ("account.balance", "1e15", "below 1,000,000,000,000"),
        ("days", "1e30", "at most 10,000"),
        ("sizing.fraction", 2, "at most 1"),
        ("sizing.fraction", 0, "above 0"),
        ("sizing.method", "martingale", "'martingale' is not one of notional, stop, atr"),
        ("account.balance", 0, "above 0"),
        ("account.balance", "NaN", "must be a number"),
        ("account.leverage", 0, "from 1 to 150"),
        ("fees.vip", 10, "from 0 to 9"),
        ("fees.taker", "0.5", "0.05% or 0.0005"),
        ("interval", "7m", "is not one of"),
        ("interval", "1mo", "A month is 1M"),
        ("days", 0, "above 0"),
        ("start", "yesterday", "is not a time"),
        ("symbol", "BTC/USDT", "is not a symbol"),
        ("symbol.x", "y", "is a value, not a table"),
    ],
)
def test_a_value_that_cannot_be_used_says_why(file: Path, key: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_config(file, {key: value})


@pytest.mark.parametrize(
    "key",
    [
        "account.balance",
        "fees.maker",
        "fees.taker",
        "costs.slippage_bps",
        "sizing.fraction",
        "sizing.stop_distance",
        "sizing.atr_multiple",
        "sizing.kelly_start",
        "sizing.kelly_cap",
        "protection.max_drawdown",
        "protection.max_daily_loss",
        "days",
        "min_completeness",
    ],
)
def test_a_number_next_to_nothing_is_refused(key: str) -> None:
    for text in ("1e-400", "1e-9", "1e-999999999999999999", "0.00100000000000000000000000000001"):
        with pytest.raises(UsageError, match=f"^{key} must be at least 0.00000001 and have at most 28 decimals"):
            load_config(None, {key: text})
    load_config(None, {key: "1e-8"})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fees.vip", "x", "fees.vip: 'x' is not a whole number."),
        ("protection.cooldown", "1.5", "protection.cooldown: '1.5' is not a whole number."),
        ("protection.cooldown", Decimal("1.5"), "protection.cooldown: 1.5 is not a whole number."),
        ("fees.taker", "five", "fees.taker: 'five' is not a number; write 0.02 or 2%."),
        ("fees.maker", True, "fees.maker: True is not a number."),
        (
            "account.balance",
            "10,000",
            "account.balance: '10,000' is not a number; write it like 10000 or 0.5, without commas.",
        ),
        ("sizing.compound", "maybe", "sizing.compound: 'maybe' is not true or false."),
        ("start", 20250504, "start: 20250504 is not text; put it in quotes."),
        ("execution.fill", 5, "execution.fill: 5 is not one of close, next-open."),
        ("account", 5, "account: it is a table, such as [strategy] with name = …, and not 5."),
    ],
)
def test_a_value_of_another_kind_is_shown_with_what_is_wanted(key: str, value: object, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(None, {key: value})
    assert str(caught.value) == message


def test_fees_may_be_per_cent(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[fees]\nmaker = "-0.005 %"\n')
    fees = load_config(file, {"fees.taker": "0.05%"}).trading_fees()
    assert (fees.maker, fees.taker) == (Decimal("-0.00005"), Decimal("0.0005"))


def test_kelly_cannot_start_with_more_than_its_own_cap() -> None:
    low = {"sizing.kelly_cap": "0.001"}
    with pytest.raises(UsageError, match=r"^sizing\.kelly_cap must be at least 0\.02, sizing\.kelly_start"):
        load_config(None, low | {"sizing.method": "kelly"})
    load_config(None, low)
    load_config(None, low | {"sizing.method": "kelly", "sizing.kelly_start": "0.001"})


def test_a_third_is_a_number() -> None:
    third = Decimal(1) / 3
    assert load_config(None, {"sizing.fraction": third}).sizing.fraction == third


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("account.leverage", "1.00000000000000000000000000001", "at most 28 decimals"),
        ("sizing.atr_multiple", "1e300", "above 0 and at most 1000"),
        ("sizing.fraction", "1e999999999%", "sizing.fraction: '1e999999999%' is not a number"),
        ("sizing.kelly_trades", 10**23, "sizing.kelly_trades must be at most 1,000,000,000"),
        ("sizing.atr_period", 10**23, "sizing.atr_period must be at most 1,000,000,000"),
        ("protection.cooldown", 10**23, "protection.cooldown must be at most 1,000,000,000"),
        ("fees.vip", 10**23, "fees.vip must be from 0 to 9"),
        ("end", "9999-12-31T23:59", "not a time within the years 1970 to 2999"),
        ("end", "0001-01-01", "not a time within the years 1970 to 2999"),
    ],
)
def test_a_number_beyond_all_measure_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_config(None, {key: value})


def test_backward_ranges_and_two_ways_to_give_one_are_refused() -> None:
    with pytest.raises(UsageError, match="the end must come after"):
        load_config(None, {"start": "2025-02-02", "end": "2025-01-01"})
    with pytest.raises(UsageError, match="either start or days"):
        load_config(None, {"start": "2025-02-02", "days": 3})


@pytest.mark.parametrize("content", ["symbol = ", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=r"broken\.toml"):
        load_config(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no configuration file"):
        load_config(tmp_path / "missing.toml")


def test_settings_are_toml_where_they_read_as_toml() -> None:
    assert parse_setting("sizing.compound=false") == ("sizing.compound", False)
    assert parse_setting("strategy.params.x = 1.5") == ("strategy.params.x", Decimal("1.5"))
    assert parse_setting("symbol=BTCUSDT") == ("symbol", "BTCUSDT")
    for text in ("novalue", "=3"):
        with pytest.raises(UsageError, match="Write key=value"):
            parse_setting(text)


def test_a_time_range_excludes_its_end() -> None:
    assert parse_timerange("20250504-20250511") == ("2025-05-04", "2025-05-11")
    with pytest.raises(UsageError, match="20250504-20250511"):
        parse_timerange("2025-05-04..2025-05-11")


def test_a_fractional_leverage_bounds_the_notional_share() -> None:
    config: RunConfig = load_config(None, {"sizing.fraction": "2.5", "account.leverage": "3"})
    assert config.sizing_rules().fraction == Decimal("2.5")
    with pytest.raises(UsageError, match="at most 1"):
        load_config(None, {"sizing.fraction": "2.5", "account.leverage": "3", "sizing.method": "stop"})


def test_slippage_of_earlier_versions_configurations_is_now_a_cost(tmp_path: Path) -> None:
    file = tmp_path / "old.toml"
    file.write_text('[sizing]\nmethod = "stop"\nslippage_bps = "2.5"\n')
    assert load_config(file).costs.slippage_bps == Decimal("2.5")


def test_the_sizer_expects_the_slippage_that_is_charged() -> None:
    config = load_config(
        overrides={"costs.slippage_bps": "3", "costs.slippage_ticks": "2", "execution.fill": "next-open"}
    )
    assert config.sizing_rules().slippage == config.execution_rules().slippage == Slippage(bps=Decimal(3), ticks=2)
    assert config.execution_rules().fill == "next-open"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("execution.fill", "open", "'open' is not one of close, next-open"),
        ("costs.slippage_bps", "-1", "from 0 to 1000"),
        ("costs.slippage_bps", "1001", "from 0 to 1000"),
        ("costs.slippage_ticks", "-1", "from 0 to 10000"),
        ("costs.slippage_ticks", "1.5", "costs.slippage_ticks: '1.5' is not a whole number"),
        ("costs.slippage_bps", "1%", "'1%' is not a number; write basis points, 100 of which are 1 %"),
    ],
)
def test_fill_time_and_slippage_out_of_range_are_refused(key: str, value: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_config(overrides={key: value})


@pytest.mark.parametrize(
    ("text", "at"), [('"range"', "range"), ("2022-05-04", "2022-05-04"), ('"2022-05-04T20:00"', "2022-05-04T20:00")]
)
def test_the_rules_of_a_date_may_be_a_toml_date_or_text(tmp_path: Path, text: str, at: str) -> None:
    (tmp_path / "run.toml").write_text(f"[specs]\nat = {text}\n")
    config = load_config(tmp_path / "run.toml")
    assert config.specs.at == at
    assert load_config(None, {"specs.at": at}) == config


def test_whose_rules_are_meant_must_be_today_range_or_a_date() -> None:
    with pytest.raises(UsageError, match="must be today, range or a date such as 2022-05-04, not 'yesterday'"):
        load_config(None, {"specs.at": "yesterday"})


def test_protections_are_off_unless_given_and_must_make_sense() -> None:
    assert not load_config().protection.asked
    assert load_config(None, {"protection.max_drawdown": "0.2"}).protection.max_drawdown == Decimal("0.2")
    with pytest.raises(UsageError, match=r"protection\.max_drawdown must be between 0 and 1"):
        load_config(None, {"protection.max_drawdown": "20"})
    with pytest.raises(UsageError, match=r"protection\.cooldown must be at least one bar"):
        load_config(None, {"protection.cooldown": "0"})


@pytest.mark.parametrize(
    ("vip", "maker", "taker"),
    [
        # Per cent of notional, as the exchange publishes them.
        (0, "0.0200", "0.0500"),
        (1, "0.0160", "0.0400"),
        (2, "0.0140", "0.0350"),
        (3, "0.0120", "0.0320"),
        (4, "0.0100", "0.0300"),
        (5, "0.0080", "0.0270"),
        (6, "0.0060", "0.0250"),
        (7, "0.0040", "0.0220"),
        (8, "0.0020", "0.0200"),
        (9, "0.0000", "0.0170"),
    ],
)
def test_fees_at_each_tier_and_ten_per_cent_off_in_bnb(vip: int, maker: str, taker: str) -> None:
    fees = load_config(overrides={"fees.vip": vip}).trading_fees()
    assert (fees.maker * 100, fees.taker * 100) == (Decimal(maker), Decimal(taker))
    cheaper = load_config(overrides={"fees.vip": vip, "fees.bnb": True}).trading_fees()
    assert (cheaper.maker, cheaper.taker) == (fees.maker - fees.maker / 10, fees.taker - fees.taker / 10)
    assert "10 % off" in cheaper.source


def test_an_explicit_fee_is_not_discounted() -> None:
    fees = load_config(overrides={"fees.taker": "0.0004", "fees.bnb": True}).trading_fees()
    # Maker 0.0002 less a tenth.
    assert (fees.taker, fees.maker) == (Decimal("0.0004"), Decimal("0.00018"))
