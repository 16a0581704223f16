"""Settings: profiles, their validation, the protocol of an AU dataset, and a trial with its key."""
