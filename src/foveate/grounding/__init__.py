"""Where any `nn.Module` sees the evidence for a class."""
