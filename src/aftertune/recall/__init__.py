"""What a model knows without help: facts asked of base and tuned, paired."""
