"""Plans of the study, by name: which trials answer which question."""
