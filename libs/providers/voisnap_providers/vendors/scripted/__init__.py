"""Providers that do what a script tells them: for tests, demos and load measurements that must be the same every time."""
