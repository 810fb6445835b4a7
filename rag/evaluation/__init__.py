"""Measuring the product on questions whose answers are known, through its public interface.

datasets → run → metrics → report
"""
