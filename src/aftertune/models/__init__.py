"""Models: finding, loading, scoring and generating."""
