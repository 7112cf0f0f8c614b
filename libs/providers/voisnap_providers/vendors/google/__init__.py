"""Google Cloud: speech recognition and voices."""
