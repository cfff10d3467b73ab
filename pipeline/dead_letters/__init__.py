"""Dead letters for operators: reading them, and sending back those that the rules of now accept."""
