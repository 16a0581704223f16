"""Settings: profiles and their validation, protocols of AU datasets, and trials with their keys."""
