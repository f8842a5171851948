"""aftertune: what did instruction tuning do to your model?"""

__version__ = "0.1.0"
