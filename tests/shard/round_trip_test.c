/* Random corpora through random chains of formats and schemes: what comes back is what went in, byte for byte. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/philox.h"
#include "core/io/file.h"
#include "shard/convert.h"

enum { CHAINS = 150, CHAIN_LIMIT = 4, SENTENCES = 6, TOKENS = 9 };

typedef struct Random {
    uint32_t seed, count;
} Random;

static uint32_t draw(Random *random, uint32_t bound)
{
    PhiloxBlock block = philox4x32_10(philox_key(random->seed, RANDOM_BOOTSTRAP, 0), random->count++, 0, 0, 0);
    return (uint32_t)philox_uniform_below(block.word[0], block.word[1], bound);
}

/* Tokens that some format has to write with care. */
static const char *const words[] = {
    "a",
    "New York",
    "\"",
    "\"\"x",
    ",",
    "a,b",
    "\\",
    "\\n",
    "#",
    "#tag",
    "# b",
    "'",
    "{}",
    "[1]",
    "\xC2\xA0",
    "x\xE3\x80\x80y",
    "\xF0\x9F\x98\x80",
    "e\xCC\x81",
    "\xEF\xB8\x8F",
    "\xE2\x80\x8B",
    "-",
    "O",
    "B-X",
    "1",
    " ",
    " a",
    "a ",
    "%s",
    "null",
    "=1+1",
    "-DOCSTART",
    "T1",
    "....",
};
static const char *const types[] = {"PER", "LOC", "a-b", "X.Y", "\xC3\x84", "B"};

static void label_append(Text *text, LabelScheme scheme, const char *type, int place, int length, bool meets)
{
    bool first = place == 0, last = place == length - 1;
    char prefix = 'I';
    if (scheme == SCHEME_IOB2 || (scheme == SCHEME_IOB1 && meets))
        prefix = first ? 'B' : 'I';
    else if (scheme == SCHEME_IOE2)
        prefix = last ? 'E' : 'I';
    else if (scheme == SCHEME_IOBES || scheme == SCHEME_BILOU)
        prefix = length == 1 ? 'S' : first ? 'B' : last ? 'E' : 'I';
    if (scheme == SCHEME_BILOU)
        prefix = prefix == 'S' ? 'U' : prefix == 'E' ? 'L' : prefix;
    text_format(text, "\t%c-%s\n", prefix, type);
}

static const char *word_draw(Random *random)
{
    return words[draw(random, sizeof words / sizeof *words)];
}

/* One sentence. Where a scheme would part spans of one type in another way than IOB1 does (IO, IOE1), they do not meet. */
static void sentence_append(Random *random, Text *text, LabelScheme scheme)
{
    const char *before = "";
    for (uint32_t count = 1 + draw(random, TOKENS), i = 0; i < count; i++) {
        if (draw(random, 3) > 0) {
            text_format(text, "%s\tO\n", draw(random, 20) ? word_draw(random) : "");
            before = "";
            continue;
        }
        const char *type = types[draw(random, sizeof types / sizeof *types)];
        bool meets = strcmp(type, before) == 0;
        if (meets && (scheme == SCHEME_IO || scheme == SCHEME_IOE1))
            continue;
        int length = 1 + (int)draw(random, 3);
        for (int place = 0; place < length; place++) {
            text_append_string(text, word_draw(random));
            label_append(text, scheme, type, place, length, meets);
        }
        before = type;
    }
}

/* Every sentence has a token at least. */
static char *corpus_make(Random *random, LabelScheme scheme)
{
    Text text = {0};
    for (uint32_t count = 1 + draw(random, SENTENCES); count > 0; count--) {
        text_append_string(&text, "start\tO\n");
        sentence_append(random, &text, scheme);
        text_append_string(&text, "\n");
    }
    return text_take(&text);
}

static char *content(const char *path)
{
    Diagnostic diagnostic = {0};
    char *bytes;
    size_t size;
    must(file_read(path, 1 << 24, &bytes, &size, &diagnostic), &diagnostic);
    return bytes;
}

/* Files are told apart by content alone: the names say nothing. */
static char *convert(const char *folder, const char *input, int step, CorpusFormat from, CorpusFormat to, const LabelScheme *scheme)
{
    ConvertOptions options = {.to = to, .corpus = {.format = from}};
    ConvertSummary summary;
    Diagnostic diagnostic = {0};
    char *name = memory_format("step-%d", step), *output = path_join(folder, name);
    if (scheme) {
        options.corpus.scheme_given = true;
        options.corpus.scheme = *scheme;
    }
    Status status = corpus_convert(input, output, &options, NULL, NULL, &summary, &diagnostic);
    if (status != STATUS_OK) {
        char *text = content(input);
        fail_msg("%s to %s: %s: %s", corpus_format_names[from], corpus_format_names[to], diagnostic.message, text);
    }
    free(name);
    return output;
}

static void a_corpus_comes_back_through_any_chain_of_formats(void **state)
{
    for (uint32_t seed = 0; seed < CHAINS; seed++) {
        Random random = {.seed = seed};
        LabelScheme scheme = (LabelScheme)(seed % SCHEME_COUNT);
        char *before = corpus_make(&random, scheme), *path = scratch_write(*state, "step-0", before);
        CorpusFormat from = CORPUS_CONLL;
        Text chain = {0};
        text_append_string(&chain, "conll");
        int steps = 1 + (int)draw(&random, CHAIN_LIMIT);
        for (int step = 1; step <= steps; step++) {
            CorpusFormat to =
                step == steps ? CORPUS_CONLL : (CorpusFormat)(CORPUS_CONLL + (int)draw(&random, CORPUS_BRAT - CORPUS_CONLL));
            bool labels_made = corpus_format_is_text(from) && !corpus_format_is_text(to);
            char *next = convert(*state, path, step, from, to, labels_made ? &scheme : NULL);
            text_format(&chain, " %s", corpus_format_names[to]);
            free(path);
            path = next;
            from = to;
        }
        char *after = content(path);
        if (strcmp(before, after) != 0)
            fail_msg("seed %u, %s, %s: %s\nbecame %s", seed, label_scheme_name(scheme), chain.bytes, before, after);
        text_free(&chain);
        free(after);
        free(before);
        free(path);
    }
}

static void a_corpus_comes_back_through_any_chain_of_schemes(void **state)
{
    for (uint32_t seed = 0; seed < CHAINS; seed++) {
        Random random = {.seed = 1000 + seed};
        LabelScheme scheme = (LabelScheme)(SCHEME_IOB1 + (int)(seed % (SCHEME_COUNT - SCHEME_IOB1)));
        char *before = corpus_make(&random, scheme), *path = scratch_write(*state, "step-0", before);
        for (int step = 1, steps = 2 + (int)draw(&random, 2); step <= steps; step++) {
            LabelScheme next = step == steps ? scheme : (LabelScheme)(SCHEME_IOB1 + (int)draw(&random, SCHEME_COUNT - SCHEME_IOB1));
            char *output = convert(*state, path, step, CORPUS_CONLL, CORPUS_CONLL, &next);
            free(path);
            path = output;
        }
        char *after = content(path);
        if (strcmp(before, after) != 0)
            fail_msg("seed %u, %s: %s\nbecame %s", seed, label_scheme_name(scheme), before, after);
        free(after);
        free(before);
        free(path);
    }
}

/* Texts with nested and crossing spans between the formats that hold them. */
static void texts_and_their_spans_come_back_through_any_chain(void **state)
{
    for (uint32_t seed = 0; seed < CHAINS; seed++) {
        Random random = {.seed = 2000 + seed};
        Text text = {0};
        for (uint32_t count = 1 + draw(&random, SENTENCES); count > 0; count--) {
            static const char *const parts[] = {"a",   "b c",  "\\n",  "\\u00e9", "\\ud83d\\ude00", " ",
                                                "\\t", "\\\\", "\\\"", "\\r\\n",  "e\\u0301"};
            static const uint32_t sizes[] = {1, 3, 1, 1, 1, 1, 1, 1, 1, 2, 2};
            uint32_t size = 0, spans = draw(&random, 4);
            text_append_string(&text, "{\"text\":\"");
            for (uint32_t i = 0, parts_count = 1 + draw(&random, TOKENS); i < parts_count; i++) {
                uint32_t part = draw(&random, sizeof parts / sizeof *parts);
                text_append_string(&text, parts[part]);
                size += sizes[part];
            }
            text_append_string(&text, "\",\"entities\":[");
            for (uint32_t i = 0; i < spans; i++) {
                uint32_t start = draw(&random, size), end = start + 1 + draw(&random, size - start);
                text_format(&text, "%s[%u,%u,\"%s\"]", i ? "," : "", start, end, types[draw(&random, 4)]);
            }
            text_append_string(&text, "]}\n");
        }
        char *path = scratch_write(*state, "step-0", text.bytes);
        char *first = convert(*state, path, 1, CORPUS_SPACY, CORPUS_SPACY, NULL), *before = content(first);
        CorpusFormat from = CORPUS_SPACY;
        free(path);
        path = first;
        for (int step = 2, steps = 3 + (int)draw(&random, CHAIN_LIMIT); step <= steps; step++) {
            CorpusFormat to =
                step == steps ? CORPUS_SPACY : (CorpusFormat)(CORPUS_PRODIGY + (int)draw(&random, CORPUS_BRAT - CORPUS_PRODIGY));
            char *next = convert(*state, path, step, from, to, NULL);
            free(path);
            path = next;
            from = to;
        }
        char *after = content(path);
        if (strcmp(before, after) != 0)
            fail_msg("seed %u: %s\nbecame %s", seed, before, after);
        free(after);
        free(before);
        free(path);
        text_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_corpus_comes_back_through_any_chain_of_formats, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_corpus_comes_back_through_any_chain_of_schemes, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(texts_and_their_spans_come_back_through_any_chain, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
