"""How the whole stream stands, in one document: what the console shows, and whoever else watches."""
