"""The console: what is shown. It reads the ledger and can write nothing."""
