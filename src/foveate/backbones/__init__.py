"""timm CNNs and networks of one's own: weights, folding, class maps, OpenVINO."""
