"""How a caller's audio comes in and goes out: one port, one clock, one module a carrier."""
