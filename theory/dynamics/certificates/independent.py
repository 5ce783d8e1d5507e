"""The part a sceptic reads: ``python theory/dynamics/certificates/independent.py FILE...``

D = LC patches form L sets of C.  In one set, the signal, all features are +1, each other feature is
±1 with probability q/2 each, else 0.  (The label −1 turns all signs and leaves the loss.)  The
network: S = softmax(A/τ) by rows, where A is σ_A on the diagonal, γ inside sets, ρ across them;
O = DαSx; F = Σ_i σ(O_i) with σ(x) = x^p + νx; the loss is E log(1 + e^{−F}).  One step subtracts
from α, γ, ρ the loss's derivatives in α, in one entry γ, in one entry ρ of A, times η_v, η_A, η_A.
"""

import json
import sys
from fractions import Fraction
from itertools import combinations_with_replacement
from math import comb, factorial, prod
from pathlib import Path

from flint import arb, arb_series, ctx, fmpq


def exact(number):
    """The rational that "-24e-3", "1/20" or an exact number stands for."""
    return fmpq(*Fraction(number).as_integer_ratio())


def images(L, C, q):
    """Features and probability of each image, up to order among and inside sets: signal first."""
    types = [(C - n, a, n - a) for n in range(C + 1) for a in range(n + 1)]  # numbers of 0, +1, −1
    if (number := comb(len(types) + L - 2, L - 1)) > 20_000:
        raise ValueError(f"L = {L}, C = {C} means {number} images; at most 20000 are allowed")
    chance = [comb(C, z) * comb(C - z, a) * (1 - q) ** z * (q / 2) ** (C - z) for z, a, _ in types]
    for sets in combinations_with_replacement(range(len(types)), L - 1):
        x = sum(([0] * z + [1] * a + [-1] * b for z, a, b in (types[k] for k in sets)), [1] * C)
        orders = factorial(L - 1) // prod(factorial(sets.count(k)) for k in set(sets))
        yield x, orders * prod(chance[k] for k in sets)


def expectation(setting, alpha, gamma, rho, bits):
    """Loss, its derivative in α, mean derivatives in the D(C−1) entries γ, the D(D−C) entries ρ."""
    L, C, p = (int(setting[name]) for name in ("L", "C", "p"))
    q, nu, sigma_A, tau = (exact(setting[name]) for name in ("q", "nu", "sigma_A", "temperature"))
    D, patches = L * C, range(L * C)
    kind = [[1 if i == j else 2 if i // C == j // C else 3 for j in patches] for i in patches]
    with ctx.workprec(bits):
        E = [[((0, arb(sigma_A), gamma, rho)[k] / tau).exp() for k in row] for row in kind]
        S = [[e / sum(row) for e in row] for row in E]
        total = [arb(0)] * 4
        for x, probability in images(L, C, q):
            Sx = [sum(S[i][j] * x[j] for j in patches) for i in patches]
            O = [D * alpha * mean for mean in Sx]
            F = sum(prod([o] * p) + nu * o for o in O)
            total[0] += probability * (1 + (-F).exp()).log()
            in_F = -probability / (1 + F.exp())
            for i in patches:  # ∂O_i/∂A_ij = (Dα/τ) S_ij (x_j − (Sx)_i)
                in_O = in_F * (p * prod([O[i]] * (p - 1)) + nu)
                total[1] += in_O * D * Sx[i]
                for j in (*patches[:i], *patches[i + 1 :]):
                    total[kind[i][j]] += in_O * S[i][j] * (x[j] - Sx[i])
        return *total[:2], alpha / tau * total[2] / max(C - 1, 1), alpha / tau * total[3] / (D - C)


def image(setting, rates, box, bits):
    """Balls that hold the loss and the next α, γ, ρ of all states in a box of three intervals."""
    with ctx.workprec(bits):
        # f(m + h) = f(m) + Σ_k h_k ∂_k f(ξ), ξ in the box: a series in ε at box + ε has ∂_k f(ξ).
        m, h = [arb(exact(x)) for x, _ in box], [arb(exact(r)) * arb(0, 1) for _, r in box]
        jets = [[arb_series([m[i] + h[i], int(i == k)], 2) for i in range(3)] for k in range(3)]
        balls = [0] * 4
        for term, factor, state in zip((0, 1, 1, 1), (1, *h), (m, *jets), strict=True):
            loss, *slopes = expectation(setting, *state, bits)
            values = [loss, *(state[k] - rates[k] * slopes[k] for k in range(3))]
            balls = [balls[n] + factor * arb_series(values[n])[term] for n in range(4)]
        return balls


def holds(interval, ball):
    """Whether a stored interval [middle, radius] holds a ball: decided between rationals."""
    middle, radius = map(exact, interval)
    return ball.is_finite() and abs(ball.mid().fmpq() - middle) + ball.rad().fmpq() <= radius


def prove(certificate, bits=512):
    """How many steps are proved (box k + 1 holds the image of box k), and whether the loss is."""
    setting, states = certificate["setting"], certificate["states"]
    rates = [exact(certificate[name]) for name in ("eta_v", "eta_A", "eta_A")]
    if any(exact(radius) for _, radius in states[0]):
        return 0, False
    for k, after in enumerate(states[1:]):
        if not all(map(holds, after, image(setting, rates, states[k], bits)[1:])):
            return k, False
    return len(states) - 1, holds(certificate["loss"], image(setting, rates, states[-1], bits)[0])


if __name__ == "__main__":
    complete = len(sys.argv) > 1
    for file in map(Path, sys.argv[1:]):
        certificate = json.loads(file.read_text("utf-8"))
        (proved, loss), steps = prove(certificate), len(certificate["states"]) - 1
        print(f"{file.stem}: {proved} of {steps} steps proved, loss {'' if loss else 'not '}proved")
        complete &= loss
    sys.exit(not complete)
