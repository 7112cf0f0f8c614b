"""One folder a vendor; a vendor implements only the wire and never imports another one."""
