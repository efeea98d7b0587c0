"""Actions: what a person may do to the ledger, one file each."""
