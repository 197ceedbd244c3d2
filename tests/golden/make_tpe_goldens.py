#!/usr/bin/env python3
"""Writes tpe.json: recorded histories with the log-densities of the good and of the bad trials that Optuna's TPESampler gives them.

    python3 make_tpe_goldens.py [tpe.json]

Needs Optuna (scripts/setup --peers). The same version of Optuna writes the same bytes.
"""
import json
import os
import random
import sys
import warnings
from importlib.metadata import version

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import _tpe
from optuna.trial import TrialState, create_trial

HISTORIES = 12
POINTS = 6


class StableNumpy:
    """numpy, but among equal values the earlier one first: which of them gets which bandwidth is otherwise an affair of numpy's sort."""

    def __getattr__(self, name):
        return getattr(np, name)

    @staticmethod
    def argsort(values):
        return np.argsort(values, kind="stable")


_tpe.parzen_estimator.np = StableNumpy()
optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")

# As coordinator/parzen.h has them, and as Optuna does.
SPACE = [
    {"kind": "number", "low": -2.0, "high": 3.0, "step": 0.0},
    {"kind": "log", "low": 1e-5, "high": 1e-1, "step": 0.0},
    {"kind": "number", "low": 1.0, "high": 12.0, "step": 1.0},
    {"kind": "number", "low": 0.0, "high": 0.5, "step": 0.05},
    {"kind": "log", "low": 1.0, "high": 64.0, "step": 1.0},
    {"kind": "choice", "choices": 4},
]


def distribution(dimension):
    if dimension["kind"] == "choice":
        return CategoricalDistribution(list(range(dimension["choices"])))
    if dimension["kind"] == "log" and dimension["step"]:
        return IntDistribution(int(dimension["low"]), int(dimension["high"]), log=True)
    if dimension["step"] == 1.0:
        return IntDistribution(int(dimension["low"]), int(dimension["high"]))
    return FloatDistribution(dimension["low"], dimension["high"], log=dimension["kind"] == "log", step=dimension["step"] or None)


def draw(rng, dimension):
    if dimension["kind"] == "choice":
        return rng.randrange(dimension["choices"])
    low, high, step = dimension["low"], dimension["high"], dimension["step"]
    value = np.exp(rng.uniform(np.log(low), np.log(high))) if dimension["kind"] == "log" else rng.uniform(low, high)
    return float(min(max(low + round((value - low) / step) * step if step else value, low), high))


def make_history(rng, space, count):
    """Complete, stopped and running ones; scores with ties; a dimension that some do not have."""
    history = []
    for _ in range(count):
        outcome = rng.choice(["complete", "complete", "complete", "stopped", "running"])
        values = [draw(rng, dimension) for dimension in space]
        if rng.random() < 0.2:
            values[0] = None
        history.append({"outcome": outcome, "score": round(rng.random(), 2), "step": rng.randrange(1, 5), "values": values})
    return history


def optuna_study(space, history):
    study = optuna.create_study(direction="maximize")
    for item in history:
        names = {str(d): item["values"][d] for d in range(len(space)) if item["values"][d] is not None}
        params = {name: int(value) if isinstance(distribution(space[int(name)]), IntDistribution) else value
                  for name, value in names.items()}
        dists = {name: distribution(space[int(name)]) for name in names}
        state = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "running": TrialState.RUNNING}[item["outcome"]]
        study.add_trial(create_trial(
            state=state, params=params, distributions=dists, value=item["score"] if item["outcome"] == "complete" else None,
            intermediate_values={item["step"]: item["score"]} if item["outcome"] == "stopped" else {}))
    return study


def optuna_densities(space, history, chosen, points):
    """What TPESampler._sample computes on its way, for given candidates."""
    study = optuna_study(space, history)
    sampler = optuna.samplers.TPESampler(seed=1)
    trials = study.get_trials(deepcopy=False)
    ended = sum(trial.state != TrialState.RUNNING for trial in trials)
    below, above = _tpe.sampler._split_trials(study, trials, _tpe.sampler.default_gamma(ended))
    search_space = {str(d): distribution(space[d]) for d in chosen}
    samples = {str(d): np.asarray([point[k] for point in points], dtype=float) for k, d in enumerate(chosen)}
    result = {}
    for name, members in (("good", below), ("bad", above)):
        estimator = sampler._build_parzen_estimator(study, search_space, members, handle_below=name == "good")
        result[name] = [float(value) for value in estimator.log_pdf(samples)]
    return result


def make_case(seed, count):
    rng = random.Random(seed)
    history = make_history(rng, SPACE, count)
    cases = []
    for chosen in ([0], [1], [2], [3], [4], [5], [1, 2, 3, 4, 5], list(range(len(SPACE)))):
        points = [[draw(rng, SPACE[d]) for d in chosen] for _ in range(POINTS)]
        cases.append({"chosen": chosen, "points": points, **optuna_densities(SPACE, history, chosen, points)})
    return {"history": history, "cases": cases}


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "tpe.json")
    counts = [0, 1, 2, 5, 11, 24, 25, 26, 27, 40, 60, 90]
    goldens = {"optuna": version("optuna"), "space": SPACE, "histories": [make_case(i, counts[i]) for i in range(HISTORIES)]}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(goldens, file, indent=None, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
