#!/usr/bin/env python3
"""What Hugging Face's tokenizers library makes of awkward text with BERT's WordPiece.

    python3 make_tokenizer_goldens.py                           writes tokenizer_vocab.txt and tokenizer.json beside this script
    python3 make_tokenizer_goldens.py --output DIR [--corpus FILE]... VOCAB...
                                                                writes DIR/NAME.json for each vocabulary, with the same texts and the
                                                                sentences of CoNLL files (token in the first column) as well

Needs tokenizers (scripts/setup --peers). The same version of tokenizers writes the same bytes.

Form: {"cased": [ROW...], "uncased": [ROW...]}, ROW = {"text" or "hex" or "words", "ids", "offsets", "word_ids"}, without [CLS] and [SEP].
"hex" is the text's UTF-8 where it holds NUL, which not every JSON reader takes. Offsets are code points of the text, or of the word;
word_ids has -1 where the library has none.
"""
import argparse
import json
import os
import random
import unicodedata
from importlib.metadata import version

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

SPECIALS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
LOWER = "abcdefghijklmnopqrstuvwxyz"
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

# Letters that a vocabulary would know, by script; each also as a continuation.
LETTERS = (
    "\u00e0\u00e9\u00f1\u00fc\u00c9\u00d1\u00dc"  # accents, composed: only the cased reading finds them
    "\u00df\u1e9e\u0131\u0130\u00e6\u00c6\u00f8\u00d8\u0142\u0141\u0111\u00f0\u00fe"  # no decomposition, or a peculiar lower case
    "\u03b1\u03b2\u03c3\u03c2\u03a3\u03a9\u03c9"  # Greek, both small sigmas
    "\u0436\u0416\u0439\u0438"  # Cyrillic, one that decomposes
    "\u05d0\u05d1\u0627\u0628\u0915\u0916\u0e01\u0e02"  # Hebrew, Arabic, Devanagari, Thai
    "\uac00\ud55c\uae00\u1100\u1161\u1112\u11ab\u3131"  # Hangul: syllables, conjoining letters, a compatibility letter
    "\u3042\u3044\u30ab\u30ac\uff21\uff41"  # kana, one that decomposes; full-width Latin
    "\ufb01\ufb03\u01c6\u01c4\u2126\u212b\u00c5\u00e5"  # ligatures, digraphs, Ohm and Angstrom signs
    "\U00010400\U00010428\U0001d400\u00aa\u00b2\u00bd\u2460\u216b"  # other planes and odd letters and numbers
)
ALONE = (
    "\u4e2d\u6587\u4eba\u3400\uf900\U00020000"  # ideographs, set apart by BERT
    "\u00a1\u00bf\u00ab\u00bb\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u20ac\u00a7\u00b7\u3001\u3002\uff0c\u060c"  # punctuation
    "\u00a9\u2122\u2192\u221e\U0001f600\u2764\U0001f44d\U0001f3fd\ufe0f\u20e3\U0001f1e9\U0001f1ea"  # symbols, emoji and their parts
    "\u0301\u0308\u0327\u20d7\u093e\u0e34"  # marks that stand alone where nothing takes them away
)
WORDS = """the of and in to a is was for on as with by at from his her that it not have but are were be an this which or had he
she you we they New York new york Paris paris Germany germany Corp Inc inc U S John john Smith smith Apple apple play playing run
running ing ed est er ly un able ness ation resume cafe naive Stra stra
hello world Hello World test 19 20 2024 100 000 st nd th""".split()
CONTINUED = "ing ed er est s ly able ness ation ie ies tion al ity ment ou ch sch str 19 20 00 24".split()


def parts_of(characters):
    """The characters, and the letters that taking off the accents and lowering the case may leave of them."""
    parts = []
    for character in characters:
        bare = [c for c in unicodedata.normalize("NFD", character) if unicodedata.category(c) != "Mn"]
        parts += [character] + bare + [c.lower() for c in bare if len(c.lower()) == 1]
    return parts


def vocabulary():
    pieces = ["[unused0]", "[unused1]", SPECIALS[0], "[unused2]"] + SPECIALS[1:]  # ids that nobody can have guessed
    pieces += list(PUNCTUATION) + list("0123456789") + list(LOWER) + list(LOWER.upper()) + list(LETTERS) + list(ALONE)
    pieces += WORDS
    pieces += parts_of(ACCENTED)
    pieces += ["##" + c for c in "0123456789" + LOWER + LOWER.upper() + LETTERS] + ["##" + piece for piece in CONTINUED + parts_of(ACCENTED)]
    pieces += ["##\u0301", "##\u0308", "##\ufe0f", "##\U0001f600", "\u4e2d\u6587", "don", "'s", "##-", "##[", "a\u0301"]  # some out of reach
    return list(dict.fromkeys(pieces))


def in_groups(characters, size=8):
    """Each character between two letters: dropped, white space, punctuation or part of the word?"""
    characters = list(characters)
    return [" ".join("a%sb" % c for c in characters[i:i + size]) for i in range(0, len(characters), size)]


CONTROLS = [chr(c) for c in list(range(1, 32)) + [127] + list(range(0x80, 0xa0))]
SPACES = [chr(c) for c in [0x20, 0xa0, 0x1680, 0x180e] + list(range(0x2000, 0x2010)) + [0x2028, 0x2029, 0x202f, 0x205f, 0x2060, 0x3000, 0xfeff]]
FORMATS = "\u00ad\u0600\u061c\u06dd\u070f\u200e\u200f\u202a\u202e\u2061\u2066\u2069\u206f\ufff9\ufffb\U000110bd\U000e0001\U000e0020"
# Every general category of punctuation and symbols, inside and outside ASCII, with neighbours of ranges.
MARKS = ("\u203f\u2040\u2054\ufe33\uff3f" "\u058a\u05be\u1400\u2010\u2011\u2012\u2015\u2e3a\u301c\ufe58\uff0d" "\u0f3a\u2045\u2768\u3008\ufe17\uff08"
         "\u0f3b\u2046\u2769\u3009\ufe18\uff09" "\u201b\u201e\u2e02\u2039" "\u2e03\u203a" "\u00a6\u00b6\u037e\u0387\u055a\u05c0\u061b\u066a\u0964\u0e4f"
         "\u104a\u1361\u166d\u17d4\u1800\u2016\u2020\u2027\u2030\u203b\u2047\u2cf9\u2e00\u2e2e\u3003\u303d\u30fb\ua4fe\ua874\ufe10\ufe19\ufe50\uff01\uff61"
         "\U00010100\U00010a50\U00011047\U00012470\U00016a6e\U0001bc9f\U0001da87\U0001e95e"
         "\u00a2\u00a8\u00ac\u00af\u00b0\u00b1\u00b4\u00b8\u00d7\u00f7\u02c2\u02d8\u0384\u20a0\u2044\u2052\u2100\u2190\u2200\u2300\u2500\u25a0\u2600\u2800\u309b\uff0b\uffe5\uffee")
IDEOGRAPH_EDGES = ("\u33ff\u3400\u4dbf\u4dc0\u4dff\u4e00\u9fff\ua000\uf8ff\uf900\ufaff\ufb00\U0001ffff\U00020000\U0002a6df\U0002a6e0\U0002a6ff\U0002a700"
                   "\U0002b73f\U0002b740\U0002b81f\U0002b820\U0002ceaf\U0002ceb0\U0002ebef\U0002ebf0\U0002f7ff\U0002f800\U0002fa1f\U0002fa20\U00030000\u3005\u3007\u3021\u2e80\u31c0")
EDGES = "\ud7ff\ue000\ufffc\ufffe\uffff\ufdd0\ufdef\U0000f8ff\U000f0000\U0010fffd\U0010ffff\u0378\u0379\u2065\u2fe0\U0001fae0\U0001facd\U0001f9ff\u0560\u1c80\ua7ff"
ACCENTED = ("\u00c0\u00c9\u00d6\u00dc\u00e7\u00f1\u0101\u0117\u0123\u0130\u0131\u0149\u0174\u01c5\u01d5\u01f0\u0218\u021b\u0344\u0386\u0390\u03ac\u0401\u0419\u0451\u0457"
            "\u0622\u0958\u09dc\u0f73\u1e00\u1e69\u1e9b\u1e9e\u1ea4\u1f00\u1f80\u1fb7\u1fbc\u1fd3\u1ffc\u2126\u212a\u212b\u2160\u24b6\u30ac\u30d1\uac00\uac01\ud7a3\ufb1d\ufb2a\ufb4f")
COMBINING = "\u0300\u0301\u0307\u0308\u0323\u0327\u0338\u0345\u034f\u0361\u0483\u0488\u0591\u05b0\u064b\u0670\u093c\u093e\u094d\u0e31\u0eb4\u0f71\u1abe\u1dc0\u20d0\u20dd\u20e3\u302a\u3099\ua66f\ufe00\ufe0f\ufe20\U0001d165\U000e0100"

WRITTEN = [
    "", " ", "a", "The Apple Corp. of New York, Inc. was not for John's resume!", "hello world", "Hello  World\n", "don't can't I'm",
    "U.S. U. S. 1,000.00 20/20 19-20 $100 100% e-mail@x.org http://x.y/z?a=b&c=d#e", "playing runningly unableness", "zzqqzz Qzz zQz",
    "\u00c9cole cafe\u0301 caf\u00e9 na\u00efve nai\u0308ve r\u00e9sum\u00e9 RE\u0301SUME\u0301", "Stra\u00dfe STRASSE STRA\u1e9eE", "\u0130stanbul I\u0307stanbul \u0131s\u0131 DI\u015e",
    "\u03a3\u03b1\u03c3 \u03a3\u0391\u03a3 \u03c3\u03c2 \u03a9\u03c9\u2126", "\u0416\u0436 \u0439 \u0438\u0306 \u0419", "\ud55c\uae00 \uac00\u11ab \u1100\u1161 \u1112\u1161\u11ab\u3131", "\u30ac \u30ab\u3099 \uff21\uff41 \ufb01 \ufb03x x\ufb01",
    "\u4e2d\u6587\u4eba a\u4e2db \u4e2d\u6587 \u3400\U00020000\uf900 \u4e2d\u3001\u6587\u3002", "\u3042\u3044\u4eba\u30ab", "\u0628\u0627 \u05d0\u05d1 \u05d0\u05b0\u05d1 \u0915\u093e \u0915\u093c\u0916 \u0e01\u0e34\u0e02",
    "\U0001f600 \U0001f600\U0001f600 a\U0001f600 \U0001f44d\U0001f3fd \u2764\ufe0f \u2764 1\ufe0f\u20e3 \U0001f1e9\U0001f1ea \U0001f468\u200d\U0001f469\u200d\U0001f467", "\ufe0f", "a \ufe0f b", "\u0301", " \u0301\u0308 ", "\u0301a", "a \u0301b",
    "a\u0301", "a\u0301\u0327b", "a\u0327\u0301b", "\u00e0\u0301", "a\u200db", "soft\u00adhy\u00adphen", "zero\u200bwidth", "\ufeffhello world", "hello\ufeff world", "a\u00a0b\u3000c\u2009d",
    "a\tb\nc\rd\r\ne", "\n\n a \n\n", "a\u000bb\u000cc", "a\u0085b", "a\ufffdb \ufffd", "a\u0001b\u007fc\u009fd", "\u0001", "a\u0000b", "\u0000", "\u0000\u0000the \u0000 of\u0000",
    "a" * 99, "a" * 100, "a" * 101, "x " + "ab" * 50 + " y", "x " + "ab" * 50 + "c y", "\u00e9" * 100, "\u00e9" * 101, "e\u0301" * 50, "e\u0301" * 51, "e\u0301" * 100, "e\u0301" * 101,
    "\U0001f600" * 100, "\U0001f600" * 101, "a" * 60 + "\u00ad" * 60, "a" * 60 + "-" + "a" * 60, "\u1e9e" * 100, "\ud55c" * 40, "\ud55c" * 33 + "a", "1" * 120, "\u0130" * 51,
    "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[unused0]", "a [MASK] b", "a[MASK]b", "[MASK][MASK]", "[CLS] hello [SEP]", "[MASK]ing", "un[MASK]ing", "[mask] [Mask] [CLS", "CLS]", "[[MASK]]", "[ MASK ]", "[MA\u00adSK]", "[MASK]\u0301", "\u4e2d[SEP]\u6587",
    "[MASK] ", " [MASK]", "\u00a0[MASK]\u00a0", "[MASK]\n", "[SEP][CLS]a", "##ing ##", "# # a##b", "\u00c9[MASK]\u00c9", "[\u039cASK]", "\ufffd[MASK]\u0000[SEP]",
    "'s 's' don\u2019t \u2018a\u2019 \u201ca\u201d a\u2014b a\u2013b a\u2026 \u00bfa? \u00a1a! \u00aba\u00bb", "_a_b_ a^b `a` a~b a|b a=b a+b a<b>c a$b", "\u00a3100 \u20ac100 \u00a7a a\u00b7b \u00b2a a\u00bd \u2460a \u216ba \u00aaa",
    "\U00010400\U00010428 \U0001d400a a\U0001d400", "A\u030angstr\u00f6m \u212bngstr\u00f6m \u00c5ngstr\u00f6m", "\u1e69 s\u0323\u0307 s\u0307\u0323", "\u01c4 \u01c5 \u01c6 \u0149a", "\u1fb7 \u1f80 \u0390", "\u212aelvin Kelvin \u017fa",
]
PRESPLIT = [
    [], ["the"], ["New", "York", "."], ["U.S.", "Corp."], ["a", "", "b"], ["", ""], ["\ufe0f", "a"], ["a", "\u0301", "b"], ["\u200b", "\u00ad", "\u0001", "a"], ["New York", "a b c"], [" a ", "\tb\n"],
    ["caf\u00e9", "RE\u0301SUME\u0301", "Stra\u00dfe"], ["\u4e2d\u6587", "a\u4e2db"], ["[MASK]", "[CLS]", "x[SEP]y"], ["a" * 101, "b"], ["don't", "'s", "--", "..."], ["\u00a0", "a\u00a0b", "\u3000"], ["##ing", "playing"],
    ["\ud55c\uae00", "\U0001f44d\U0001f3fd"], ["a\ufffdb", "\ufffd", "c"], ["#", "#tag", "@user"],
]


def drawn_texts(count):
    rng = random.Random(1729)
    pools = [LOWER + LOWER.upper(), PUNCTUATION, "    \t\n", LETTERS, ALONE, "".join(SPACES), FORMATS + COMBINING, ACCENTED, MARKS, EDGES]
    weights = [30, 6, 16, 12, 5, 3, 6, 8, 3, 2]
    texts = []
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(3, 22)):
            draw = rng.random()
            parts.append(rng.choice(WORDS) if draw < 0.25 else rng.choice(SPECIALS) if draw < 0.28 else rng.choice(rng.choices(pools, weights)[0]))
        texts.append("".join(parts))
    return texts


def all_texts():
    texts = list(WRITTEN)
    for characters in (CONTROLS, SPACES, FORMATS, PUNCTUATION, MARKS, IDEOGRAPH_EDGES, EDGES, ACCENTED, COMBINING, LETTERS, ALONE):
        texts += in_groups(characters)
    return texts + drawn_texts(120)


def corpus_texts(paths):
    texts, words = [], []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line in list(file) + [""]:
                if line.strip():
                    words.append(line.split("\t")[0].split(" ")[0].rstrip("\n"))
                elif words:
                    texts.append(" ".join(words))
                    words = []
    return texts


def tokenizer_of(pieces, lowercase):
    tokenizer = Tokenizer(WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.add_special_tokens(SPECIALS)
    tokenizer.normalizer = BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lowercase)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def row_of(tokenizer, text):
    presplit = isinstance(text, list)
    encoding = tokenizer.encode(text, is_pretokenized=presplit, add_special_tokens=False)
    given = {"words": text} if presplit else {"hex": text.encode().hex()} if "\0" in text else {"text": text}
    word_ids = [-1 if word is None else word for word in encoding.word_ids]
    return {**given, "ids": encoding.ids, "offsets": [list(pair) for pair in encoding.offsets], "word_ids": word_ids}


def write(path, pieces, texts):
    goldens = {"tokenizers": version("tokenizers")}
    for name, lowercase in (("cased", False), ("uncased", True)):
        tokenizer = tokenizer_of(pieces, lowercase)
        goldens[name] = [row_of(tokenizer, text) for text in texts]
    with open(path, "w", encoding="ascii") as file:
        json.dump(goldens, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("vocabularies", nargs="*", metavar="VOCAB", help="vocab.txt files; without any: the small one made here")
    parser.add_argument("--corpus", action="append", default=[], metavar="FILE", help="CoNLL file whose sentences are added")
    parser.add_argument("--output", default=os.path.dirname(os.path.abspath(__file__)), metavar="DIR")
    arguments = parser.parse_args()
    texts = all_texts() + PRESPLIT + corpus_texts(arguments.corpus)
    if not arguments.vocabularies:
        with open(os.path.join(arguments.output, "tokenizer_vocab.txt"), "w", encoding="utf-8", newline="\n") as file:
            file.writelines(piece + "\n" for piece in vocabulary())
        write(os.path.join(arguments.output, "tokenizer.json"), vocabulary(), texts)
    for path in arguments.vocabularies:
        with open(path, encoding="utf-8", newline="") as file:
            pieces = file.read().replace("\r\n", "\n").removesuffix("\n").split("\n")
        write(os.path.join(arguments.output, os.path.splitext(os.path.basename(path))[0] + ".json"), pieces, texts)


if __name__ == "__main__":
    main()
