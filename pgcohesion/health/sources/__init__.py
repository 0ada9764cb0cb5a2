"""Facts that no SQL of the server tells: ``read(ctx)`` of each module, None where there is no such thing here."""
