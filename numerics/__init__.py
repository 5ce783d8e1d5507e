"""Simulations that know nothing of the theory's formulas: sampled images, trained weights.

    data → positional → models → measure → engine → training → experiments → records

Settings, partitions and exact paths come from ``theory``; everything else is measured.  The
experiments run with ``python -m numerics run NAME`` and leave a record with its provenance.
"""
