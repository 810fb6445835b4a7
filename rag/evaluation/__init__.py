"""Measuring search and answers on questions whose answers are known, through the public interface.

datasets → runner → evaluate → metrics → report
"""
