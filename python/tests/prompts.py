"""Prompts that several tests continue."""

CONTINUED = [
    "The capital of France is",
    "Once upon a time",
    "def fibonacci(n):",
    "Water boils at",
    "In 1969,",
    "The GNU General Public License",
    "The three primary colours are",
    "A recipe for bread needs flour,",
    "The planets of the solar system are",
    "To be, or not to be",
]
