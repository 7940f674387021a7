"""Simulated clouds of three vendors: they check signatures, hold rate limits, keep jobs with thousands of tasks."""
