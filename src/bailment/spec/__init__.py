"""What a recipient must prove, and what then obeys: the distribution spec as a document."""
