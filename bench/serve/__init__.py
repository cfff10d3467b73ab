"""The serving layer under load: `folio serve` as real processes, and clients that are processes of their own."""
