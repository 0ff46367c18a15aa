"""Figures side by side in one run; never timed tests, because machines are shared and noisy."""
