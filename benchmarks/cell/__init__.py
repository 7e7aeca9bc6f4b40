"""One cell, from the pretrained backbone to the written record."""
