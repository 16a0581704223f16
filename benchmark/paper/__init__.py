"""The paper's printed tables and claims, as data."""
