"""Plans of studies as TOML files: the questions and their trials."""
