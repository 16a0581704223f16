"""Studies: questions that only data with ground truth can answer, with their plans, statistics and pages."""
