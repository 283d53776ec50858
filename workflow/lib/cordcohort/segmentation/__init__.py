"""Segment cords with shipped or own models: registry, cascade, batches."""
