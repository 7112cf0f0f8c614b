-- Our own number in a telephone call: the one that was rung, or that the callee saw.
ALTER TABLE conversations ADD COLUMN line_number text;
