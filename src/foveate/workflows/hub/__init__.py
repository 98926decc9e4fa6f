"""Models on the Hugging Face Hub: what a stranger gets of a run, its model card, and the way back."""
