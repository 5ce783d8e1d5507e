"""Figure 4, reconstructed: association and error over training, and transfer with and without it.

On the structured law the one-layer model and two real ViTs, timm's own and one with positional
attention, are watched while they learn: does the test error fall when the sets are found?  Then the
one-layer model meets a new feature.  Its v is trained anew on N images while its attention is
frozen: as learned, or as it started, or as learned on other sets, or even on each own set.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer

from numerics.data.structured import StructuredData, patches_as_pixels, random_direction
from numerics.engine import FitConfig, fit
from numerics.experiment import QUIET, Experiment, OfSetting, Options, Repeated
from numerics.experiments import realistic
from numerics.measure.accuracy import accuracy
from numerics.measure.association import attention_between_patches, read_association
from numerics.measure.coefficients import estimate
from numerics.measure.history import evenly
from numerics.measure.spatial import cosine_similarity, rounded
from numerics.models.simplified import SimplifiedViT
from numerics.models.structured_vit import build_structured_vit
from numerics.models.vit import encodings
from numerics.positional import PositionalVisionTransformer
from numerics.seeds import seed_of
from numerics.training.new_feature import (
    Transfer,
    compare_attentions,
    freeze_attention,
    own_set_attention,
    summarize,
)
from theory.data.partition import Partition
from theory.inputs import integer

__all__ = ["ATTENTIONS", "LIGHT", "VITS", "Config", "run"]

#: Frozen attentions of the downstream task; ``foreign`` was learned on the sets of the next run.
ATTENTIONS = ("learned", "own set", "start", "foreign")
#: The real ViTs, by name.
VITS: dict[str, type[VisionTransformer]] = {
    "stock": VisionTransformer,
    "positional": PositionalVisionTransformer,
}


@dataclass(frozen=True)
class Config(OfSetting, Repeated):
    """Size of the experiment; runs have seeds ``seed``, …, ``seed + runs − 1``, ViTs alike.

    A seed draws the sets, w*, weights and images of a run, and then its downstream tasks.
    """

    q: float = 0.3
    d: int = 16
    # The one-layer model.
    omega: float = 0.01
    N: int = 8000
    N_test: int = 20_000
    eta_v: float = 2e-4
    eta_A: float = 50.0
    steps: int = 200
    recorded: int = 21
    runs: int = 20
    # Transfer: ``draws`` tasks a run, each with a feature of its own, at every number of images.
    images: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    draws: int = 4
    transfer_steps: int = 100
    transfer_test: int = 4000
    # The real ViTs; of each kind the size of its encodings at the start and its learning rate.
    width: int = 32
    depth: int = 2
    heads: int = 4
    stock_std: float = 0.3
    positional_std: float = 0.1
    stock_lr: float = 3e-3
    positional_lr: float = 5e-3
    vit_steps: int = 2000
    batch: int = 128
    vit_test: int = 5000
    vit_recorded: int = 21
    vit_runs: int = 5

    def pretraining(self) -> realistic.Config:
        """The training of the one-layer model, an instance of ``realistic``."""
        shared = realistic.Config.__dataclass_fields__.keys() & self.__dataclass_fields__.keys()
        return realistic.Config(**{name: getattr(self, name) for name in shared})

    def check(self) -> None:
        """Raise a ``ValueError`` where the parts do not fit together."""
        if self.runs < 2:
            raise ValueError(
                f"figure-4.runs = {self.runs}: runs must be >= 2, each has the next one's "
                "attention as a control"
            )
        for name in ("images", "draws"):
            value = getattr(self, name)
            numbers = value if isinstance(value, tuple) else (value,)
            if not numbers:
                raise ValueError(f"figure-4.{name} = (): {name} must hold at least one number")
            for number in numbers:
                integer(f"figure-4.{name}", number, least=1)


LIGHT = Config(
    L=6,
    C=3,
    q=0.4,
    N=4000,
    N_test=5000,
    recorded=11,
    runs=4,
    images=(1, 2, 4, 16, 64, 256),
    draws=2,
    vit_steps=600,
    vit_test=2000,
    vit_recorded=11,
    vit_runs=1,
)


def _transfer_tasks(
    config: Config, one: realistic.Trained, foreign: SimplifiedViT, seed: int, device: str
) -> dict[str, list[list[Transfer]]]:
    """By attention, for each number of images: the results of the run's downstream tasks."""
    setting, d = one.data.setting, config.d
    models = {
        "learned": freeze_attention(setting, one.model.A.detach(), d),
        "own set": own_set_attention(setting, one.data.partition, d).to(device),
        "start": freeze_attention(setting, torch.zeros_like(one.model.A), d),
        "foreign": freeze_attention(setting, foreign.A.detach(), d),
    }
    return compare_attentions(
        one.data,
        models,
        config.images,
        draws=config.draws,
        test_images=config.transfer_test,
        eta_v=config.eta_v,
        steps=config.transfer_steps,
        # A stream of its own: downstream images owe nothing to those of the first training.
        generator=torch.Generator(device).manual_seed(seed_of("new features", seed)),
    )


def _one_vit(config: Config, kind: str, seed: int, options: Options) -> dict[str, Any]:
    generator = torch.Generator(options.device).manual_seed(seed_of("real ViTs", seed))
    partition = Partition.scattered(config.L, config.C, seed)
    direction = random_direction(config.d, generator)
    data = StructuredData(config.setting(), partition, direction)
    images, labels = patches_as_pixels(data.sample(config.vit_test, generator), config.L)
    model = build_structured_vit(
        data,
        kind=VITS[kind],
        width=config.width,
        depth=config.depth,
        heads=config.heads,
        encoding_std=getattr(config, f"{kind}_std"),
        seed=seed,
    ).to(options.device)
    label = f"{kind}-{seed}"
    history = fit(
        model,
        lambda step, generator: patches_as_pixels(data.sample(config.batch, generator), config.L),
        FitConfig(
            steps=config.vit_steps,
            batch=config.batch,
            lr=getattr(config, f"{kind}_lr"),
            seed=seed,
        ),
        observe=lambda model: {
            "test_error": 1 - accuracy(model, images, labels),
            **read_association(model, partition),
        },
        record_at=evenly(config.vit_steps, config.vit_recorded),
        label=label,
        about={"kind": kind, **asdict(replace(config, runs=2, vit_runs=1, seed=seed))},
        **vars(options.within(label)),
    )
    maps = attention_between_patches(model)
    return {
        "seed": seed,
        "labels": list(partition.labels),
        "steps": history.steps,
        "history": history.columns,
        "similarity": rounded(cosine_similarity(encodings(model)), 3),
        "attention": [] if maps is None else [rounded(S, 3) for S in maps],
    }


def run(config: Config, options: Options = QUIET) -> dict[str, Any]:
    """Train the one-layer models, carry each to its downstream tasks, train the real ViTs.

    Only the ViTs have checkpoints: the one-layer model takes seconds and is trained again.

    Returns
    -------
    dict
        ``metrics``: mean and standard error over runs at the end of training, and of each
        attention's test error at the largest number of images; ``one_layer``: seed and history of
        each run; ``transfer``: by attention and field of
        :class:`~numerics.training.new_feature.Transfer`, mean and standard error over runs at each
        number of images; ``vits``: by name, for each run its seed, sets and history, the cosine
        similarity of the encodings after training and the attention of each block, patch by patch.

    Raises
    ------
    ValueError
        If the configuration does not fit together.
    """
    config.check()
    pretraining = config.pretraining()
    seeds = config.seeds
    ones = [realistic.train_one(pretraining, seed, options) for seed in seeds]
    tasks = [
        _transfer_tasks(config, one, foreign.model, seed, options.device)
        for seed, one, foreign in zip(seeds, ones, ones[1:] + ones[:1], strict=True)
    ]
    transfer = {name: summarize([run[name] for run in tasks]) for name in ATTENTIONS}
    vit_seeds = range(config.seed, config.seed + config.vit_runs)
    vits = {kind: [_one_vit(config, kind, seed, options) for seed in vit_seeds] for kind in VITS}
    one_layer = [
        {"seed": seed, "steps": one.history.steps, "history": one.history.columns}
        for seed, one in zip(seeds, ones, strict=True)
    ]
    histories = {
        "one_layer": [run["history"] for run in one_layer],
        **{kind: [run["history"] for run in runs] for kind, runs in vits.items()},
    }
    metrics = {
        f"{model}_{name}": asdict(estimate([history[name][-1] for history in group]))
        for model, group in histories.items()
        for name in (group[0] if group else ())
    }
    for name in ATTENTIONS:
        ends = [float(np.mean([one.test_error for one in run[name][-1]])) for run in tasks]
        metrics[f"transfer_{name.replace(' ', '_')}"] = asdict(estimate(ends))
    return {"metrics": metrics, "one_layer": one_layer, "transfer": transfer, "vits": vits}


EXPERIMENT = Experiment(run, LIGHT, resumable=True)
