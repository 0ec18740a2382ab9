"""Documents to token ids, as the target model has them: ``load`` its tokenizer, and encode."""

from curator.tokens.encoder import Encoder, Identity
from curator.tokens.loading import STARTER, NotATokenizer, load

__all__ = ["STARTER", "Encoder", "Identity", "NotATokenizer", "load"]
