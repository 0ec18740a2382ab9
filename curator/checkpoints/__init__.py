"""Folders of safetensors as they are on disk: FP8 weights turned into 16 bit, two quantized models stitched into one.

No model is loaded here. A checkpoint is an index of its headers (``reading``); what is written is planned from headers
alone and then streamed, one shard after another, in memory that does not grow with the model (``writing``).
"""
