"""How a picture with marks on it is drawn: pages, overlays, captions, charts."""
