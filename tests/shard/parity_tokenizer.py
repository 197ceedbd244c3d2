#!/usr/bin/env python3
"""Ids, offsets and word ids of WordPiece against Hugging Face tokenizers' BertWordPieceTokenizer.

  parity_tokenizer.py TOKENIZE_TOOL [--quick]

Compared, cased and uncased, as whole texts and pre-split:
- every sentence of the shared corpora with their vocabularies (NERSWEEP_SHARED_DATA, default SOURCE/../shared/data; left out when absent);
- every code point alone, between letters, beside punctuation and among marks, with a vocabulary in which every code point is a piece, so
  that nothing hides behind [UNK]; random texts of the code points that are hardest, and random bytes of which a decoder leaves what is UTF-8.
Each input is encoded in all ways that there are (tokenize_tool.c), which must give the same.
Prints what was compared; exit 1 on any difference, 77 when tokenizers cannot be imported. NERSWEEP_PEERS_PYTHON names the interpreter
that has it (default .peers/bin/python of the source folder).
"""
import glob
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("NERSWEEP_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEERS = os.environ.get("NERSWEEP_PEERS_PYTHON") or os.path.join(SOURCE, ".peers", "bin", "python")
BATCH = 8192
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SHOWN = 10

try:
    import tokenizers
except ImportError:
    if os.path.exists(PEERS) and not os.environ.get("NERSWEEP_PARITY_AGAIN"):
        os.environ["NERSWEEP_PARITY_AGAIN"] = "1"
        os.execv(PEERS, [PEERS] + sys.argv)
    print("skipped: the Python package tokenizers is not there; scripts/setup --peers installs it, NERSWEEP_PEERS_PYTHON names an interpreter")
    sys.exit(77)


class Comparison:
    def __init__(self, tool, vocab, cased):
        self.command = [tool, vocab] + (["--cased"] if cased else [])
        self.oracle = tokenizers.BertWordPieceTokenizer(vocab, lowercase=not cased)
        self.compared = self.pieces = self.differences = 0

    def batch(self, inputs, printed, presplit):
        encodings = self.oracle.encode_batch(inputs, is_pretokenized=presplit, add_special_tokens=False)
        for text, encoding in zip(inputs, encodings):
            offsets = encoding.offsets
            expected = [encoding.ids, [s for s, _ in offsets], [e for _, e in offsets], [-1 if w is None else w for w in encoding.word_ids]]
            got = json.loads(printed.readline())
            self.compared += 1
            self.pieces += len(encoding.ids)
            if got != expected:
                self.differences += 1
                if self.differences <= SHOWN:
                    print(f"difference: {text!r} ({ascii(text)})\n  expected {expected}\n  got      {got}", file=sys.stderr)

    def all(self, inputs, presplit=False):
        """The tool encodes all inputs in one go; then they are read again, batch by batch, beside what it printed."""
        with tempfile.TemporaryFile("w+", encoding="utf-8") as asked, tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
            for text in inputs:
                asked.write(json.dumps(text, ensure_ascii=False) + "\n")
            asked.seek(0)
            subprocess.run(self.command, stdin=asked, stdout=printed, check=True)
            asked.seek(0)
            printed.seek(0)
            while lines := list(itertools.islice(asked, BATCH)):
                self.batch([json.loads(line) for line in lines], printed, presplit)
            if printed.read():
                sys.exit(f"{self.command} printed more than was asked")

    def report(self, what):
        print(f"{what}: {self.compared} inputs, {self.pieces} pieces, {self.differences} differences", flush=True)
        return self.differences


def corpus_sentences(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*", "*.conll"))):
        tokens = []
        with open(path, encoding="utf-8", newline="\n") as file:
            for line in file:
                if line.strip():
                    tokens.append(line.rstrip("\r\n").split("\t")[0])
                elif tokens:
                    yield tokens
                    tokens = []
        if tokens:
            yield tokens


def compare_corpora(tool, folder):
    sentences = list(corpus_sentences(folder))
    differences = 0
    for vocab in sorted(glob.glob(os.path.join(folder, "vocab", "*.txt"))):
        for cased in (True, False):
            comparison = Comparison(tool, vocab, cased)
            comparison.all(" ".join(tokens) for tokens in sentences)
            comparison.all(sentences, presplit=True)
            differences += comparison.report(f"{os.path.basename(vocab)}, {'cased' if cased else 'uncased'}")
    return differences


def code_points(step):
    return [c for c in range(0, 0x110000, step) if not 0xD800 <= c <= 0xDFFF]


def write_vocabulary(path):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for special in SPECIALS:
            file.write(special + "\n")
        for prefix in ("", "##"):
            for c in code_points(1):
                if c != 0 and chr(c) not in "\r\n":
                    file.write(prefix + chr(c) + "\n")


def contexts(points):
    """Four words for each code point: alone, between letters, beside punctuation, among marks; eight code points a text."""
    words = []
    for i, c in enumerate(points):
        x = chr(c)
        words += [x, f"a{x}B", f"({x})", f"e\u0323{x}\u0301{x}\U0001d165\u0334\u0345"]
        if i % 8 == 7 or i == len(points) - 1:
            yield " ".join(words)
            words = []


def random_texts(count):
    """Of code points that some step treats in a way of its own, so that they come together."""
    rng = random.Random(20150917)
    steps = [tokenizers.normalizers.NFD(), tokenizers.normalizers.Lowercase(), tokenizers.normalizers.StripAccents(),
             tokenizers.normalizers.BertNormalizer(lowercase=False, strip_accents=False)]
    peculiar = [chr(c) for c in code_points(1) if c < 0x20000 and any(step.normalize_str(chr(c)) != chr(c) for step in steps)
                and not 0x3400 <= c < 0xA000 and not 0xAC00 <= c < 0xD7A4]
    marks = [chr(c) for c in list(range(0x300, 0x370)) + list(range(0x8D0, 0x900)) + list(range(0x1D15E, 0x1D173)) + [0x1B44, 0x302E, 0x302F, 0x1DFB, 0x11442]]
    plain = list("aAzZ09 .,[]#-\u4e00\uf900\ud55c\uac00\u0130\u1100\u2260\u037e\u1e69\n\u00ad\u200d\0") + SPECIALS
    for _ in range(count):
        if rng.random() < 0.02:  # a long run of marks, to be sorted
            yield "x" + "".join(rng.choice(marks) for _ in range(rng.randint(30, 90))) + "a"
        else:
            yield "".join(rng.choice(rng.choice((peculiar, marks, marks, plain))) for _ in range(rng.randint(1, 24)))


def random_byte_texts(count):
    """Bytes that are mostly ASCII, or mostly lead and continuation bytes; what is not UTF-8 is left out."""
    rng = random.Random(20210101)
    ascii_bytes, high_bytes = bytes(range(128)), bytes(range(128, 256))
    for _ in range(count):
        share = rng.choice((0.02, 0.3, 0.9))
        size = rng.choice((1, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025))
        yield bytes(rng.choice(high_bytes if rng.random() < share else ascii_bytes) for _ in range(size)).decode("utf-8", "ignore")


def compare_code_points(tool, step, folder):
    vocab = os.path.join(folder, "vocab.txt")
    write_vocabulary(vocab)
    points = code_points(step)
    differences = 0
    for cased in (True, False):
        comparison = Comparison(tool, vocab, cased)
        comparison.all(chr(c) for c in points)
        comparison.all(contexts(points))
        comparison.all(([chr(c), "a" + chr(c) + "\u0301"] for c in points), presplit=True)
        comparison.all(random_texts(40000 // step))
        comparison.all(random_byte_texts(8000 // step))
        comparison.all((text.split(" ") for text in random_texts(20000 // step)), presplit=True)
        differences += comparison.report(f"{len(points)} code points, {'cased' if cased else 'uncased'}")
    return differences


def main():
    arguments = [a for a in sys.argv[1:] if a != "--quick"]
    if len(arguments) != 1:
        sys.exit("usage: parity_tokenizer.py TOKENIZE_TOOL [--quick]")
    step = 37 if "--quick" in sys.argv else 1
    data = os.environ.get("NERSWEEP_SHARED_DATA") or os.path.join(SOURCE, "..", "shared", "data")
    print(f"tokenizers {tokenizers.__version__}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        differences = compare_code_points(arguments[0], step, folder)
    if os.path.isdir(data):
        differences += compare_corpora(arguments[0], data)
    else:
        print(f"{data} is not there: its corpora are left out")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
