"""Whole experiments: several stages composed to answer one question."""
