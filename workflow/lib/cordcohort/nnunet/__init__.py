"""nnU-Net v2 as a second backend: published model folders, and training as the papers did."""
