"""How answers behave, without a judge: loops, leaks, refusals, lengths, copies, personal data."""
