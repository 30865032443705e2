"""Provider families: one folder per service outside, each with its client, payloads and activities."""
