"""ProjectX: bytes and dicts to facts (`wire`), sessions (`connection`), the port (`adapter`)."""
