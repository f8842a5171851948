"""Tuning a base on rows, with all parameters or with LoRA."""
