"""From a build and a model to a quantized checkpoint that a server loads. ``run`` is the pipeline, top to bottom."""
