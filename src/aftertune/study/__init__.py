"""A study with people: who rates what, the pages they rate on, and what their ratings show."""
