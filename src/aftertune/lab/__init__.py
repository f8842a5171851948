"""Made worlds in which the truth is known: what is right, and where it was learnt."""
