"""Text without models: character spans of tokens, sentences."""
