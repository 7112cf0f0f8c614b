-- By what a network prices a message where it tells so: WhatsApp's category, or `free`.
ALTER TABLE messages ADD COLUMN tariff text;
