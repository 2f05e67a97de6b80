"""`make bench-series`: the embedded metric store beside DuckDB and VictoriaMetrics, same points, same run.

Three things are alike for all: a minute's points of every series are one append, which returns when they are where the
store promises them (embedded: SQLite, synchronous FULL; DuckDB: one transaction, its log synced at the commit;
VictoriaMetrics: acknowledged in memory, on disk within seconds, as it offers nothing stricter); the points are statistic
sets, of values that move; and a read gives 100 series × 1 day × 1 minute, four numbers each. DuckDB's table is the one
its manual advises: columns (series, at, count, total, low, high), series as integers, no index, appended in bulk from an
Arrow-free executemany's faster relative, a register-less VALUES list. Exits 0 whatever the figures are.
"""
