"""How good answers are to a judge, and how far the judge can be believed."""
