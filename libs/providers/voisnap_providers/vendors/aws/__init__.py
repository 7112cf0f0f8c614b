"""Amazon Polly and Amazon Transcribe streaming."""
