"""One training loop for every real vision transformer, on Lightning Fabric.

AdamW with warm-up and cosine decay, on one device or on several, in float32 or bfloat16.  Whatever
is random in step k is drawn from (seed, k) alone, so on the CPU a run that was killed and resumed
from a checkpoint ends with the weights of one that was not, to the bit.

In: a model, a source of batches, a :class:`FitConfig`.  Out: the model, trained in place, and its
:class:`~numerics.measure.history.History`; in a directory, checkpoints and ``metrics.jsonl``.
"""

from numerics.engine.batches import (
    Batches,
    DatasetBatches,
    crop_batches,
    dataset_batches,
    usual_workers,
)
from numerics.engine.checkpoint import (
    CorruptCheckpointError,
    list_checkpoints,
    read_checkpoint,
    write_checkpoint,
)
from numerics.engine.config import FitConfig
from numerics.engine.loop import fit
from numerics.engine.step import launch

__all__ = [
    "Batches",
    "CorruptCheckpointError",
    "DatasetBatches",
    "FitConfig",
    "crop_batches",
    "dataset_batches",
    "fit",
    "launch",
    "list_checkpoints",
    "read_checkpoint",
    "usual_workers",
    "write_checkpoint",
]
