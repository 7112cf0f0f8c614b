"""The audit log: every change an operator makes, written in the transaction of the change."""
