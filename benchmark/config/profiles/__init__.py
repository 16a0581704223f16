"""Budgets and settings, one TOML file a profile."""
