"""How the rate goes when one thing grows and all others stay as they are: where the curve bends."""
