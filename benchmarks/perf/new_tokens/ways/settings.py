"""What all three programs are asked to do alike."""

PASSES = 10
BATCH_SIZE = 32
LEARNING_RATE = 1e-2
WARMUP_SHARE = 0.05
BETAS = (0.9, 0.99)
CLIP_NORM = 1.0
