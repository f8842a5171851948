"""Answers of a model to prompts, made here or elsewhere."""
