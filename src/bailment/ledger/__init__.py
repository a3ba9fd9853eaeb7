"""The log's mathematics: records, leaves, the Merkle tree, tiles, notes, proofs. No I/O."""
