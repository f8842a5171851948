"""One line per tuned model for the terminal. Pure."""
