"""Number work of the controls: pure functions of arrays and tables."""
