"""Whatever is live: opened by the desk, held by a live session, written down in the store and the journal, cleared up by the reaper."""
