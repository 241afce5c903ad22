"""Claims with numbers on disk.

`finding.py` the frozen record and its Parquet; `standing.py` what a finding says of its claim; `run_folder.py` stages,
resuming, atomic commit, `place.py` where a finished run stands; `kept.py` what was measured, for other runs; `store.py`
all run folders as one table;
`toml_lines.py` where the keys of a TOML text stand;
`forecast.py`, `rule.py`, `ledger.py`, `resolve.py`, `scores.py` forecasts from registration to score; `argument.py` claims
with supports and attacks.
"""
