"""Hotels that trade: a seeded source of believable finance events, and the producer that sends them."""
