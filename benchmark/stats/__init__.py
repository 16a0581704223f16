"""Statistics: scores, averages, intervals over subjects, comparisons, ranks and verdicts. They use NumPy and SciPy."""
