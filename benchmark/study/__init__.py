"""Questions that only data of known truth can answer: plans, statistics, pages."""
