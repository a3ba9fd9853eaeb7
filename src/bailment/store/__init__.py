"""The issuer's folder: the sequencer, its staging table, tiles on disk, keys, snapshots."""
