"""What an outsider runs: fetch an export, verify it, perform every decision again."""
