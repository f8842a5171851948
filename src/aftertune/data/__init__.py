"""Rows and prompts: from files or a hub to tables, and from messages to token ids."""
