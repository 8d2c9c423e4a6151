"""`nt-run`: backtests of Binance USDⓈ-M perpetual futures that can be trusted."""
