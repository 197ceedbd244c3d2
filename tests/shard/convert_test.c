/* Conversion between formats and schemes: nothing is lost that the formats can hold, and nothing is left behind on failure. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "shard/convert.h"

static char *data_file(const char *name)
{
    return path_join(NERSWEEP_SOURCE_DIR "/tests/shard/data", name);
}

static char *content(const char *path)
{
    Diagnostic diagnostic = {0};
    char *bytes;
    size_t size;
    must(file_read(path, 1 << 24, &bytes, &size, &diagnostic), &diagnostic);
    return bytes;
}

static char *converted(const char *input, const char *folder, const char *name, const ConvertOptions *options,
                       ConvertSummary *summary)
{
    char *output = path_join(folder, name);
    Diagnostic diagnostic = {0};
    must(corpus_convert(input, output, options, NULL, NULL, summary, &diagnostic), &diagnostic);
    return output;
}

static const char *const extensions[CORPUS_FORMAT_COUNT] = {
    [CORPUS_CONLL] = "conll",       [CORPUS_CSV] = "csv",
    [CORPUS_JSONL] = "jsonl",       [CORPUS_PRODIGY] = "prodigy.jsonl",
    [CORPUS_SPACY] = "spacy.jsonl", [CORPUS_LABELSTUDIO] = "labelstudio.json",
    [CORPUS_BRAT] = "ann",
};

/* conll -> format -> conll gives the same bytes. */
static void comes_back(const char *folder, const char *input, CorpusFormat format, LabelScheme scheme)
{
    ConvertSummary summary;
    char *name = memory_format("there.%s", extensions[format]);
    ConvertOptions there = {.to = format, .corpus = {.format = CORPUS_CONLL}};
    ConvertOptions back = {.to = CORPUS_CONLL, .corpus = {.format = format, .words_given = true, .words = WORDS_WHITESPACE}};
    if (corpus_format_is_text(format)) {
        back.corpus.scheme_given = true;
        back.corpus.scheme = scheme;
    }
    char *middle = converted(input, folder, name, &there, &summary),
         *end = converted(middle, folder, "back.conll", &back, &summary);
    char *before = content(input), *after = content(end);
    if (strcmp(before, after) != 0)
        fail_msg("%s through %s is another file", input, corpus_format_names[format]);
    free(before);
    free(after);
    free(middle);
    free(end);
    free(name);
}

static void every_format_gives_back_the_labels_of_a_conll_file(void **state)
{
    char *small = data_file("small.conll");
    char *schemes[] = {scratch_write(*state, "iob1", "a\tI-X\nb\tB-X\nc\tI-Y\n\nd\tO\n\n"),
                       scratch_write(*state, "iobes", "a\tB-X\nb\tE-X\nc\tS-Y\n\nd\tO\n\n"),
                       scratch_write(*state, "bilou", "a\tB-X-Z\nb\tL-X-Z\nc\tU-Y\n\nd\tO\n\n")};
    static const LabelScheme names[] = {SCHEME_IOB1, SCHEME_IOBES, SCHEME_BILOU};
    for (int format = CORPUS_CONLL; format < CORPUS_FORMAT_COUNT; format++) {
        comes_back(*state, small, (CorpusFormat)format, SCHEME_IOB2);
        for (int i = 0; i < 3; i++)
            comes_back(*state, schemes[i], (CorpusFormat)format, names[i]);
    }
    for (int i = 0; i < 3; i++)
        free(schemes[i]);
    free(small);
}

static void tokens_that_need_care_come_back(void **state)
{
    char *input =
        scratch_write(*state, "care", "\"\tO\n,\tB-X\na b\tI-X\n\tO\n\xC2\xA0\tO\n\\\tB-X\n#\tO\n\xF0\x9F\x98\x80\tB-Y\n\n");
    for (int format = CORPUS_CONLL; format < CORPUS_BRAT; format++)
        comes_back(*state, input, (CorpusFormat)format, SCHEME_IOB2);
    free(input);
}

/* Text and spans of every record: "text{0-4 PER, 9-21 PER} .." */
static char *spans_of(const char *path)
{
    Diagnostic diagnostic = {0};
    CorpusReader *reader = NULL;
    Text text = {0};
    must(corpus_reader_open(&reader, path, (CorpusOptions){.keep_text = true}, NULL, NULL, &diagnostic), &diagnostic);
    for (const CorpusSentence *sentence;;) {
        must(corpus_reader_next(reader, &sentence, &diagnostic), &diagnostic);
        if (!sentence)
            break;
        for (size_t i = 0; i < sentence->span_count; i++) {
            const CorpusSpan *span = &sentence->spans[i];
            text_format(&text, "%.*s %s;", (int)(span->end - span->start), sentence->text + span->start, span->label);
        }
    }
    corpus_reader_close(&reader);
    return text_take(&text);
}

static void formats_of_text_give_back_their_spans_nested_or_not(void **state)
{
    char *input =
        scratch_write(*state, "nested.spacy.jsonl",
                      "{\"text\":\"\xC3\xA9 New York\\nTimes\",\"entities\":[[2,16,\"ORG\"],[2,10,\"LOC\"],[3,4,\"CHAR\"]]}\n"
                      "{\"text\":\"none\",\"entities\":[]}\n{\"text\":\"x \\ud83d\\ude00 y\",\"entities\":[[4,5,\"Y\"]]}\n"
                      "{\"text\":\"x\\r\",\"entities\":[[0,2,\"Z\"]]}\n");
    char *expected = spans_of(input);
    assert_string_equal(expected, "New York\nTimes ORG;New York LOC;e CHAR;y Y;x\r Z;");
    for (int first = CORPUS_PRODIGY; first < CORPUS_FORMAT_COUNT; first++)
        for (int second = CORPUS_PRODIGY; second < CORPUS_FORMAT_COUNT; second++) {
            ConvertSummary summary;
            char *one = memory_format("one.%s", extensions[first]), *two = memory_format("two.%s", extensions[second]);
            ConvertOptions to_first = {.to = (CorpusFormat)first}, to_second = {.to = (CorpusFormat)second};
            char *middle = converted(input, *state, one, &to_first, &summary);
            char *end = converted(middle, *state, two, &to_second, &summary), *spans = spans_of(end);
            if (strcmp(spans, expected) != 0)
                fail_msg("through %s and %s: %s", one, two, spans);
            free(spans);
            free(end);
            free(middle);
            free(one);
            free(two);
        }
    free(expected);
    free(input);
}

static void flattened_spans_reach_a_format_of_text_flat(void **state)
{
    char *input = scratch_write(*state, "a.jsonl", "{\"text\":\"New York Times\",\"entities\":[[0,14,\"ORG\"],[0,8,\"LOC\"]]}\n");
    ConvertSummary summary;
    ConvertOptions options = {.to = CORPUS_PRODIGY, .corpus = {.flatten = FLATTEN_INNERMOST}};
    char *output = converted(input, *state, "b.jsonl", &options, &summary), *spans = spans_of(output);
    assert_string_equal(spans, "New York LOC;");
    assert_int_equal(summary.counts.flattened, 1);
    free(spans);
    free(output);
    free(input);
}

static void converts_to(void **state, const char *text, const ConvertOptions *options, const char *expected)
{
    ConvertSummary summary;
    char *input = scratch_write(*state, "in", text), *output = converted(input, *state, "out", options, &summary),
         *result = content(output);
    assert_string_equal(result, expected);
    free(result);
    free(output);
    free(input);
}

static void schemes_are_converted(void **state)
{
    ConvertOptions options = {.to = CORPUS_CONLL, .corpus = {.scheme_given = true, .scheme = SCHEME_IOBES}};
    const char *iob2 = "a\tB-X\nb\tI-X\nc\tB-X\nd\tO\n\n", *iobes = "a\tB-X\nb\tE-X\nc\tS-X\nd\tO\n\n";
    converts_to(state, iob2, &options, iobes);
    options.corpus.scheme = SCHEME_IOB2;
    converts_to(state, iobes, &options, iob2);
    options.corpus.scheme = SCHEME_IOB1;
    converts_to(state, iobes, &options, "a\tI-X\nb\tI-X\nc\tB-X\nd\tO\n\n");
    options.corpus = (CorpusOptions){.scheme_given = true, .scheme = SCHEME_IO, .merge_adjacent = true};
    converts_to(state, iob2, &options, "a\tI-X\nb\tI-X\nc\tI-X\nd\tO\n\n");
}

static void documents_stay_apart(void **state)
{
    ConvertOptions options = {.to = CORPUS_CONLL};
    converts_to(state, "-DOCSTART- -X- O\n\na NN O\n\nb NN O\n\n-DOCSTART- -X- O\n\nc NN O\n", &options,
                "a\tO\n\nb\tO\n\n-DOCSTART-\tO\n\nc\tO\n\n");
}

static void fails_at(void **state, const char *text, const ConvertOptions *options, long line, long column, const char *part)
{
    Diagnostic diagnostic = {0};
    ConvertSummary summary;
    StringArray before = {0}, after = {0};
    char *input = scratch_write(*state, "in", text), *output = scratch_write(*state, "out.ann", "as before");
    must(folder_list(*state, &before, &diagnostic), &diagnostic);
    assert_int_equal(corpus_convert(input, output, options, NULL, NULL, &summary, &diagnostic), STATUS_INVALID_INPUT);
    must_contain(diagnostic.message, part);
    must_contain(diagnostic.input_file, "in");
    assert_int_equal(diagnostic.input_line, line);
    assert_int_equal(diagnostic.input_column, column);
    char *kept = content(output);
    assert_string_equal(kept, "as before");
    must(folder_list(*state, &after, &diagnostic), &diagnostic);
    assert_int_equal(before.count, after.count); /* no part of an output, no temporary file */
    string_array_free(&before);
    string_array_free(&after);
    free(kept);
    free(input);
    free(output);
}

static void what_cannot_be_converted_is_refused_with_its_place_and_leaves_nothing(void **state)
{
    ConvertOptions options = {.to = CORPUS_CONLL, .corpus = {.scheme_given = true, .scheme = SCHEME_IO}};
    fails_at(state, "o\tO\n\na\tB-X\nb\tI-X\nc\tB-X\n", &options, 5, 3, "two spans of type X meet");
    options = (ConvertOptions){.to = CORPUS_SPACY};
    fails_at(state, "o\tB-X\n\na\tI-X\nb\tB-X\n", &options, 3, 3, "\"I-X\" after \"the sentence's start\"");
    fails_at(state, "a\tB-X\nb\tQ-X\n", &options, 2, 3, "not allowed");
    options.repair = true;
    fails_at(state, "a\tB-X\nb\tQ-X\n", &options, 2, 3, "is no label");
    options = (ConvertOptions){.to = CORPUS_BRAT};
    fails_at(state, "a\tO\nb\tB-X Y\n", &options, 2, 1, "white space");
    options = (ConvertOptions){.to = CORPUS_PRODIGY};
    fails_at(state, "a\tO\n\tB-X\n", &options, 2, 2, "empty token");
    options = (ConvertOptions){.to = CORPUS_CONLL};
    fails_at(state, "{\"tokens\":[\"a\"],\"ner_tags\":[\"O\"]}\n{\"tokens\":[\"a\\tb\"],\"ner_tags\":[\"O\"]}\n", &options, 2, 1,
             "a token with a TAB");
    fails_at(state, "{\"tokens\":[\"-DOCSTART-\"],\"ner_tags\":[\"O\"]}\n", &options, 1, 1, "-DOCSTART-");
    fails_at(state, "{\"tokens\":[\"-DOCSTART- x\"],\"ner_tags\":[\"O\"]}\n", &options, 1, 1, "-DOCSTART-");
    fails_at(state, "{\"tokens\":[\"# a\"],\"ner_tags\":[\"_\"]}\n", &options, 1, 1, "as comments do");
    fails_at(state, "{\"tokens\":[\"a\"],\"ner_tags\":[\"B-X \"]}\n", &options, 1, 1, "a space at an end");
    fails_at(state, "{\"tokens\":[\"\xEF\xBB\xBF\"],\"ner_tags\":[\"O\"]}\n", &options, 1, 1, "byte-order mark");
    fails_at(state, "", &options, 1, 0, "nothing to convert");
}

static void note_repair(void *context, const char *file, long line, long column, const char *before, const char *after)
{
    (void)file;
    text_format(context, "%ld:%ld %s %s;", line, column, before, after);
}

static void repairs_are_counted_and_listed(void **state)
{
    char *input = scratch_write(*state, "in", "o\tB-X\n\na\tI-X\nb\tI-X\nc\tB-Y\nd\tI-X\n"), *output = path_join(*state, "out");
    ConvertOptions options = {.to = CORPUS_CONLL, .repair = true};
    ConvertSummary summary;
    Diagnostic diagnostic = {0};
    Text repairs = {0};
    must(corpus_convert(input, output, &options, note_repair, &repairs, &summary, &diagnostic), &diagnostic);
    assert_string_equal(repairs.bytes, "3:3 I-X B-X;6:3 I-X B-X;");
    assert_int_equal(summary.repaired, 2);
    char *result = content(output);
    assert_string_equal(result, "o\tB-X\n\na\tB-X\nb\tI-X\nc\tB-Y\nd\tB-X\n\n");
    free(result);
    text_free(&repairs);
    free(input);
    free(output);
}

static void labels_pass_as_they_stand_where_nothing_is_asked_of_them(void **state)
{
    ConvertOptions options = {.to = CORPUS_CSV};
    converts_to(state, "a\tI-X\nb\tB-X\nc\t_\n", &options, "sentence_id,token,label\r\n1,a,I-X\r\n1,b,B-X\r\n1,c,_\r\n");
}

static void the_example_corpus_comes_back_from_every_format(void **state)
{
    ConvertSummary summary;
    ConvertOptions plain = {.to = CORPUS_CONLL};
    char *input = converted(NERSWEEP_SOURCE_DIR "/examples/dev.conll", *state, "plain", &plain, &summary);
    for (int format = CORPUS_CSV; format < CORPUS_BRAT; format++)
        comes_back(*state, input, (CorpusFormat)format, SCHEME_IOB2);
    free(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_format_gives_back_the_labels_of_a_conll_file, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(tokens_that_need_care_come_back, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(formats_of_text_give_back_their_spans_nested_or_not, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(flattened_spans_reach_a_format_of_text_flat, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(schemes_are_converted, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(documents_stay_apart, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_converted_is_refused_with_its_place_and_leaves_nothing, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(repairs_are_counted_and_listed, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(labels_pass_as_they_stand_where_nothing_is_asked_of_them, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(the_example_corpus_comes_back_from_every_format, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
