"""Speed and memory, measured against baselines in the same run: ``python -m benchmarks``.

Each row of the table is a module in `benchmarks.rows`.  Nothing here is a test: a missed reach is told, not raised.
"""
