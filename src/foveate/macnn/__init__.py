"""Multi-attention CNN (MA-CNN, ICCV 2017)."""
