"""Problems with many slots: a bound and the best choice by column generation, then a model of what is left."""

from optimizer.fleet.column_generation.rank import applies, rank_large

__all__ = ["applies", "rank_large"]
