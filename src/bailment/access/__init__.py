"""The mind of enforcement: tokens, proofs, the chain, the register, one decision. No I/O."""
