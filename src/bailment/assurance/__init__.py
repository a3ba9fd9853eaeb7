"""What a recipient proves: evidence, and the standing that follows from it. Thinks only."""
