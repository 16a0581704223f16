"""The suite around the methods: data, trials, runner, statistics and reports."""

__version__ = "0.2.0"
