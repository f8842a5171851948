"""The shift of next-token distributions from base to tuned."""
