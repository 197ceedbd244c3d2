#!/usr/bin/env python3
"""TPE does what Optuna's TPESampler does, Sobol's points are SciPy's, and the importance of parameters is that of Optuna's fANOVA.

    parity_tpe.py PROGRAM [--curves [--seeds 100] [--trials 50] [--functions 0-19]]

Without --curves: on fresh random histories the log-densities of the good and of the bad trials equal Optuna's to 1e-9, 40 dimensions of Sobol's
sequence equal scipy's, and shares of variance are within 0.08 of fANOVA's. With --curves: on fixed objective functions the best value so far,
over seeds, lies within Optuna's band, with multivariate on and off. PROGRAM: tests/coordinator/search_program.c. Runs itself
again with NERSWEEP_PEERS_PYTHON or .peers/bin/python where the current interpreter has no optuna; exit code 77: skipped."""
import argparse
import importlib.util
import json
import math
import os
import random
import subprocess
import sys

SOURCE = os.environ.get("NERSWEEP_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TOLERANCE = 1e-9
HISTORIES = 60
START_UP = 10


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def find_interpreter():
    if all(importlib.util.find_spec(name) for name in ("optuna", "scipy", "sklearn")):
        return
    python = os.environ.get("NERSWEEP_PEERS_PYTHON", os.path.join(SOURCE, ".peers", "bin", "python"))
    if os.environ.get("NERSWEEP_PARITY_AGAIN") or not os.access(python, os.X_OK):
        skip("no interpreter with optuna (scripts/setup --peers)")
    os.environ["NERSWEEP_PARITY_AGAIN"] = "1"
    os.execv(python, [python] + sys.argv)


class Program:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def check_densities(program, goldens):
    worst, compared = 0.0, 0
    for seed in range(1000, 1000 + HISTORIES):
        case = goldens.make_case(seed, random.Random(seed).randrange(0, 150))
        for one in case["cases"]:
            ours = program.ask(space=goldens.SPACE, history=case["history"], chosen=one["chosen"], points=one["points"])
            for name in ("good", "bad"):
                for left, right in zip(ours[name], one[name], strict=True):
                    difference = abs(left - right)
                    assert difference <= TOLERANCE, f"seed {seed}, dimensions {one['chosen']}, {name}: {left} instead of {right}"
                    worst, compared = max(worst, difference), compared + 1
    print(f"{compared} log-densities over {HISTORIES} histories: largest difference from Optuna's {worst:.2g}")


def check_sobol(program):
    from scipy.stats import qmc
    theirs = qmc.Sobol(40, scramble=False).random(4096)
    ours = program.ask(sobol=[4096, 40])["points"]
    assert (theirs == ours).all(), "Sobol's points differ from scipy's"
    print("4096 Sobol points of 40 dimensions: equal to scipy's")


def check_importance(program):
    """Both forests see the same 250 points. They draw their bootstraps differently, and Optuna's gives each value of a choice an axis of its own,
    most of whose corners are no value at all, which takes a little from the share of choices."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.trial import create_trial
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1), "c": CategoricalDistribution([0, 1, 2])}
    functions = [lambda a, b, c: 2 * a + b + 0.4 * c, lambda a, b, c: math.sin(6 * a) + (c == 1), lambda a, b, c: a * b + 0.1 * c]
    worst = 0.0
    for seed, function in enumerate(functions):
        rng = random.Random(seed)
        points = [[rng.random(), rng.random(), rng.randrange(3)] for _ in range(250)]
        scores = [function(*point) for point in points]
        study = optuna.create_study()
        study.add_trials([create_trial(params=dict(zip("abc", point)), distributions=distributions, value=score)
                          for point, score in zip(points, scores)])
        theirs = FanovaImportanceEvaluator(seed=1).evaluate(study)
        ours = program.ask(choices=[0, 0, 3], points=points, scores=scores)["shares"]
        total = sum(ours), sum(theirs.values())  # Optuna's evaluator leaves interactions out of its sum
        for name, share in zip("abc", ours):
            difference = abs(share / total[0] - theirs[name] / total[1])
            assert difference <= 0.08, f"function {seed}, {name}: {share / total[0]:.3f} instead of {theirs[name] / total[1]:.3f}"
            worst = max(worst, difference)
    print(f"importance on {len(functions)} functions: largest difference from Optuna's fANOVA {worst:.3f}")


# ------------------------------------------------------------------------------------------------ best so far

def number(low, high, step=0.0):
    return {"kind": "number", "low": low, "high": high, "step": step}


def log(low, high, step=0.0):
    return {"kind": "log", "low": low, "high": high, "step": step}


def choice(count):
    return {"kind": "choice", "choices": count}


def rastrigin(x):
    return 10 * len(x) + sum(v * v - 10 * math.cos(2 * math.pi * v) for v in x)


def rosenbrock(x):
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:]))


def ackley(x):
    return (20 - 20 * math.exp(-0.2 * math.sqrt(sum(v * v for v in x) / len(x)))
            - math.exp(sum(math.cos(2 * math.pi * v) for v in x) / len(x)) + math.e)


def branin(x):
    a, b = x
    return (b - 5.1 / (4 * math.pi ** 2) * a * a + 5 / math.pi * a - 6) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10


def styblinski(x):
    return sum(v ** 4 - 16 * v * v + 5 * v for v in x) / 2


def levy(x):
    w = [1 + (v - 1) / 4 for v in x]
    middle = sum((a - 1) ** 2 * (1 + 10 * math.sin(math.pi * a + 1) ** 2) for a in w[:-1])
    return math.sin(math.pi * w[0]) ** 2 + middle + (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)


def learning(x):
    """Like a fine-tuning: a best learning rate, some warm-up, a mild effect of decay, and one schedule a little better."""
    rate, warm_up, decay, schedule = x
    return (math.log10(rate / 2e-4)) ** 2 + 2 * (warm_up - 0.1) ** 2 + 0.1 * decay + [0.0, 0.02, 0.1][int(schedule)]


FUNCTIONS = [  # all are minimised
    ("line", [number(0, 1)], lambda x: abs(x[0] - 0.3)),
    ("sphere 2", [number(-5, 5)] * 2, lambda x: sum(v * v for v in x)),
    ("sphere 5", [number(-5, 5)] * 5, lambda x: sum(v * v for v in x)),
    ("ellipsoid 4", [number(-5, 5)] * 4, lambda x: sum(10 ** i * v * v for i, v in enumerate(x))),
    ("rastrigin 2", [number(-5.12, 5.12)] * 2, rastrigin),
    ("rastrigin 4", [number(-5.12, 5.12)] * 4, rastrigin),
    ("rosenbrock 2", [number(-2, 2)] * 2, rosenbrock),
    ("rosenbrock 3", [number(-2, 2)] * 3, rosenbrock),
    ("ackley 2", [number(-10, 10)] * 2, ackley),
    ("ackley 5", [number(-10, 10)] * 5, ackley),
    ("branin", [number(-5, 10), number(0, 15)], branin),
    ("styblinski 3", [number(-5, 5)] * 3, styblinski),
    ("levy 3", [number(-10, 10)] * 3, levy),
    ("logarithms", [log(1e-6, 1.0)] * 2, lambda x: sum((math.log10(v) + 3) ** 2 for v in x)),
    ("whole numbers", [number(1, 40, 1.0)] * 3, lambda x: sum((v - 17) ** 2 for v in x)),
    ("steps", [number(0, 2, 0.1)] * 3, lambda x: sum((v - 0.7) ** 2 for v in x)),
    ("powers", [log(1, 1024, 1.0)] * 2, lambda x: sum((math.log2(v) - 5) ** 2 for v in x)),
    ("choices", [choice(6)] * 3, lambda x: sum((int(v) - 4) ** 2 for v in x)),
    ("mixed", [number(-3, 3), log(1e-4, 1.0), number(1, 10, 1.0), choice(4)],
     lambda x: x[0] ** 2 + (math.log10(x[1]) + 2) ** 2 + abs(x[2] - 4) / 3 + [0.5, 0.0, 1.0, 2.0][int(x[3])]),
    ("learning", [log(1e-5, 1e-2), number(0, 0.3), number(0, 0.3, 0.05), choice(3)], learning),
]


def our_curve(program, goldens, space, function, multivariate, seed, trials):
    rng = random.Random(seed)
    history, best, curve = [], math.inf, []
    dimensions = list(range(len(space)))
    sets = [dimensions] if multivariate else [[d] for d in dimensions]
    for trial in range(trials):
        if trial < START_UP:
            values = [goldens.draw(rng, dimension) for dimension in space]
        else:
            values = program.ask(space=space, history=history, sets=sets, seed=seed, number=trial)["values"]
        best = min(best, function(values))
        history.append({"outcome": "complete", "score": -function(values), "step": 1, "values": values})
        curve.append(best)
    return curve


def their_curve(optuna, goldens, space, function, multivariate, seed, trials):
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=multivariate)
    study = optuna.create_study(sampler=sampler)
    distributions = {str(d): goldens.distribution(dimension) for d, dimension in enumerate(space)}
    best, curve = math.inf, []
    for _ in range(trials):
        trial = study.ask(distributions)
        value = function([trial.params[str(d)] for d in range(len(space))])
        study.tell(trial, value)
        best = min(best, value)
        curve.append(best)
    return curve


def rank_difference(ours, theirs):
    """How many standard deviations the sum of our ranks is from what it is when both are drawn from the same distribution (Mann, Whitney)."""
    import numpy as np
    from scipy.stats import rankdata
    ranks = rankdata(np.concatenate([ours, theirs]))
    n, m = len(ours), len(theirs)
    ties = np.unique(ranks, return_counts=True)[1]
    variance = n * m / 12 * (n + m + 1 - (ties ** 3 - ties).sum() / ((n + m) * (n + m - 1)))
    return 0.0 if variance <= 0 else (ranks[:n].sum() - n * (n + m + 1) / 2) / math.sqrt(variance)


def check_curves(program, goldens, arguments):
    """After every trial our seeds' ranks among Optuna's tell no difference; with 100 seeds or more our median is also within its quartiles."""
    import numpy as np
    import optuna
    failures, compared = [], 0
    first, last = (int(number) for number in arguments.functions.split("-"))
    for name, space, function in FUNCTIONS[first:last + 1]:
        for multivariate in (True, False):
            seeds = range(arguments.seeds)
            ours = np.array([our_curve(program, goldens, space, function, multivariate, s, arguments.trials) for s in seeds])
            theirs = np.array([their_curve(optuna, goldens, space, function, multivariate, s, arguments.trials) for s in seeds])
            low, high = np.quantile(theirs, [0.25, 0.75], axis=0)
            median = np.median(ours, axis=0)
            outside = int(((median < low) | (median > high))[START_UP:].sum())
            z = max((rank_difference(ours[:, t], theirs[:, t]) for t in range(START_UP, arguments.trials)), key=abs)
            compared += 1
            print(f"{name:14} {'joint' if multivariate else 'apart'}: median {median[-1]:.4g}, Optuna {np.median(theirs[:, -1]):.4g} "
                  f"[{low[-1]:.4g}, {high[-1]:.4g}], outside after {outside} trials, largest z {z:+.2f}", flush=True)
            # Four standard deviations: by chance once in 16,000 comparisons. Quartiles of fewer seeds are too uncertain to be a band.
            if abs(z) > 4 or (outside and arguments.seeds >= 100):
                failures.append(name)
    print(f"{compared} curves of {arguments.seeds} seeds and {arguments.trials} trials, {len(failures)} out of Optuna's band")
    assert not failures, failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--curves", action="store_true")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--functions", default=f"0-{len(FUNCTIONS) - 1}", help="the first and the last one's number")
    arguments = parser.parse_args()
    find_interpreter()
    sys.path.insert(0, os.path.join(SOURCE, "tests", "golden"))
    import make_tpe_goldens as goldens
    program = Program(arguments.program)
    if arguments.curves:
        check_curves(program, goldens, arguments)
    else:
        check_densities(program, goldens)
        check_sobol(program)
        check_importance(program)


if __name__ == "__main__":
    main()
