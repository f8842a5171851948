"""Exact spans, BM25 and embeddings over a set of rows."""
