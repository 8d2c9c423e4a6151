"""Market data in: what the cache has, and what it lacks from the exchange.

    loader      MarketData, what the rest of the package uses
    loaded      what it hands out
    sources     the exchange and its archive, opened when first needed
    kline_loader klines of one series: cache, sources, certificate
    failover    monthly archive → daily archive → REST → confirmed absent
    download    klines from REST into the store, page by page
    archive     the public archive's verified zips
    archive_http the only door to its HTTP client
    archive_csv the archive's text, both ways and exact
    funding     funding rates, fetched and kept
    snapshots   exchangeInfo answers, dated
    exchange_info recorded answers in files
    rules       trading rules of today, of a date, of a range
    brackets    leverage brackets: the exchange's, files, the tables shipped with the package
    credentials the key of an account, for signed requests
    rest        the exchange's REST interface; the only door to its SDK
    weight      requests wait until they fit into the budget
    budget      the request budget, one file for all processes
    ingest      text → klines, refused or taken as they are
    conflicts   rows of two sources that differ
    kline_store klines on disk: months, days, years
    days        the record of each day: state, holes, sources
    then_and_now the klines of a run beside those of now
    certify     what can be said about the klines of a run
    content     hashes of content, independent of encoding
    importing   a user's own file, read and cross-checked
    crosscheck  rows of another market
    references  what klines are cross-checked against
    inventory   what the cache holds
    selection   which series are meant
    coverage    what is complete, month by month
    audit       verify
    mend        repair
    export      CSV, Parquet, the archive's own CSV
    prune       what could go
    store       Parquet files under a manifest, verified; the only door to the Parquet writer
    manifest    what a folder knows about its files, days and holes
    files       atomic writes, locks
    ranges      arithmetic of time ranges

Nothing is imported here: a command that needs no data does not pay for it.
"""
