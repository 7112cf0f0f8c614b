"""The conversation of one call: ear, mouth and what happens between them. `call.Call` wires it."""
