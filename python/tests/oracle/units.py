"""What the bf16 instructions of x86 compute, number by number in exact arithmetic, as Intel's manual
(volume 2, VDPBF16PS and TDPBF16PS) defines them, and the order in which kernels use them."""

from fractions import Fraction

import numpy as np

LEAST_NORMAL = Fraction(1, 2**126)


def to_bf16(numbers):
    """f32 numbers rounded to bf16, ties to even, as 16 bits each."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def _widen(bits):
    """bf16 as fractions; subnormal numbers count as zeros."""
    wide = (bits.astype(np.uint32) << 16).view(np.float32)
    flat = [Fraction(float(x)) if abs(x) >= 2.0**-126 else Fraction(0) for x in wide.ravel()]
    return np.array(flat, object).reshape(bits.shape)


def _round(number):
    """To 24 bits of any exponent, ties to even; then what is below the least normal number is zero."""
    if number == 0:
        return number
    exponent = abs(number.numerator).bit_length() - number.denominator.bit_length()
    while abs(number) < Fraction(2) ** exponent:
        exponent -= 1
    while abs(number) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - 23)
    rounded = round(number / unit) * unit
    return rounded if abs(rounded) >= LEAST_NORMAL else Fraction(0)


def _pairs(row):
    """Pairs along k, the last one filled up with a zero."""
    return [(row[k], row[k + 1] if k + 1 < len(row) else Fraction(0)) for k in range(0, len(row), 2)]


def _dots(left, right):
    """vdpbf16ps over all pairs, even ones and odd ones apart; then their sum in f32."""
    sums = [Fraction(0), Fraction(0)]
    for index, (a, b) in enumerate(zip(_pairs(left), _pairs(right))):
        for element in (1, 0):
            sums[index % 2] = _round(sums[index % 2] + a[element] * b[element])
    return np.float32(float(sums[0])) + np.float32(float(sums[1]))


def _tiles(left, right):
    """tdpbf16ps over 16 pairs at a time."""
    left, right = _pairs(left), _pairs(right)
    total = Fraction(0)
    for first in range(0, len(left), 16):
        sums = [Fraction(0), Fraction(0)]
        for a, b in zip(left[first : first + 16], right[first : first + 16]):
            for element in (0, 1):
                sums[element] = _round(sums[element] + a[element] * b[element])
        total = _round(total + _round(sums[0] + sums[1]))
    return np.float32(float(total))


def product(unit, activations, weights):
    """[tokens, k] times [rows, k], both bf16 as 16 bits, by `unit` (dots or tiles), in f32."""
    combine = {"dots": _dots, "tiles": _tiles}[unit]
    left, right = _widen(activations), _widen(weights)
    return np.array([[combine(a, b) for b in right] for a in left], np.float32)
