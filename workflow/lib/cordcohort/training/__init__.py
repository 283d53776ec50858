"""Train networks on painted label maps: sources, painter, losses, engine."""
