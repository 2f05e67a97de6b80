"""Operations: request parameters → model → changes → view. No I/O here but the gateway's."""
