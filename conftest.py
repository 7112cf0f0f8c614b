"""Test set-up of the whole repository: servers, databases and virtual time come from the testkit's plugin."""

pytest_plugins = ("voisnap_testkit.plugin",)
