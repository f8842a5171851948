"""What a shift is called, by the base's rank of the tuned model's first choice."""

CATEGORIES = ("unshifted", "marginal", "shifted")
FIRST_RANK = (1, 2, 4)  # of each category; it ends where the next begins
