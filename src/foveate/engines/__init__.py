"""Who does bulk work: the threads of this process, or Ray Data on this machine and on others."""
