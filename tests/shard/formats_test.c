/* Every corpus format read: what is there, and where what is wrong with it stands. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "shard/corpus.h"

#define SMALL                                                                                              \
    "Jos\xC3\xA9/B-PER met/O Ada/B-PER Lovelace/I-PER \xF0\x9F\x98\x80/O in/O New/B-LOC York/I-LOC ./O | " \
    "Nobody/O came/O ./O"

/* Reads all of a file: "token/label token/label | ..". */
static Status transcribe(const char *path, CorpusOptions options, Text *result, CorpusCounts *counts, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    CorpusReader *reader = NULL;
    text_clear(result);
    text_append(result, "", 0);
    TRY(corpus_reader_open(&reader, path, options, NULL, NULL, diagnostic));
    for (const CorpusSentence *sentence;;) {
        TRY(corpus_reader_next(reader, &sentence, diagnostic));
        if (!sentence)
            break;
        text_format(result, "%s", result->size ? " | " : "");
        for (int32_t i = 0; i < sentence->token_count; i++) {
            const CorpusToken *token = &sentence->tokens[i];
            assert_true(token->line > 0 && token->token_column > 0 && token->label_column > 0);
            text_format(result, "%s%s/%s", i ? " " : "", token->text, token->label);
            if (sentence->text)
                assert_memory_equal(sentence->text + token->start, token->text, token->text_size);
        }
    }
    if (counts)
        *counts = corpus_reader_counts(reader);
out:
    corpus_reader_close(&reader);
    return status;
}

static void file_reads_as(const char *path, CorpusOptions options, const char *expected)
{
    Diagnostic diagnostic = {0};
    Text result = {0};
    must(transcribe(path, options, &result, NULL, &diagnostic), &diagnostic);
    assert_string_equal(result.bytes, expected);
    text_free(&result);
}

static void reads_as(void **state, CorpusOptions options, const char *text, const char *expected)
{
    char *path = scratch_write(*state, "corpus", text);
    file_reads_as(path, options, expected);
    free(path);
}

static void file_fails_at(const char *path, CorpusOptions options, long line, long column, const char *part)
{
    Diagnostic diagnostic = {0};
    Text result = {0};
    assert_int_equal(transcribe(path, options, &result, NULL, &diagnostic), STATUS_INVALID_INPUT);
    must_contain(diagnostic.message, part);
    assert_true(diagnostic.input_file[0] != '\0');
    assert_int_equal(diagnostic.input_line, line);
    assert_int_equal(diagnostic.input_column, column);
    text_free(&result);
}

static void fails_at(void **state, CorpusOptions options, const char *text, long line, long column, const char *part)
{
    char *path = scratch_write(*state, "corpus", text);
    file_fails_at(path, options, line, column, part);
    free(path);
}

static CorpusOptions as(CorpusFormat format)
{
    return (CorpusOptions){.format = format};
}

static void every_format_is_found_by_its_content_and_reads_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        CorpusFormat format;
    } files[] = {
        {"small.conll", CORPUS_CONLL},       {"small.csv", CORPUS_CSV},
        {"small.jsonl", CORPUS_JSONL},       {"small.prodigy.jsonl", CORPUS_PRODIGY},
        {"small.spacy.jsonl", CORPUS_SPACY}, {"small.labelstudio.json", CORPUS_LABELSTUDIO},
        {"small.ann", CORPUS_BRAT},          {"small.labelstudio-min.json", CORPUS_LABELSTUDIO},
        {"small.txt", CORPUS_BRAT},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = path_join(NERSWEEP_SOURCE_DIR "/tests/shard/data", files[i].name);
        Diagnostic diagnostic = {0};
        CorpusFormat format;
        must(corpus_format_detect(path, &format, &diagnostic), &diagnostic);
        assert_int_equal(format, files[i].format);
        file_reads_as(path, (CorpusOptions){0}, SMALL);
        file_reads_as(path, as(files[i].format), SMALL);
        free(path);
    }
}

static void what_only_looks_like_another_format_is_not_taken_for_it(void **state)
{
    static const struct {
        const char *name, *text;
        CorpusFormat format;
    } cases[] = {
        {"a", "{\tO\n\"\tO\n}\tO\n", CORPUS_CONLL},
        {"a.txt", "[\tO\n{\tO\n", CORPUS_CONLL},
        {"a", "{\"a\":1}\tO\n", CORPUS_CONLL},
        {"a.csv", "a\tO\n,\tO\n", CORPUS_CONLL},
        {"a", "\xEF\xBB\xBF[ {\n \"data\": {}}]", CORPUS_LABELSTUDIO},
        {"a", "[]", CORPUS_LABELSTUDIO},
        {"a", "id,\"Token\",label\n1,a,O\n", CORPUS_CSV},
        {"a.csv", "1,a,O\n", CORPUS_CSV},
        {"a", "{\"text\":\"a\"}\n", CORPUS_PRODIGY},
        {"a", "", CORPUS_CONLL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = scratch_write(*state, cases[i].name, cases[i].text);
        Diagnostic diagnostic = {0};
        CorpusFormat format;
        must(corpus_format_detect(path, &format, &diagnostic), &diagnostic);
        if (format != cases[i].format)
            fail_msg("case %zu is taken for %s", i, corpus_format_names[format]);
        free(path);
    }
    char *path = scratch_write(*state, "b.json", "{\"other\": 1}\n");
    file_fails_at(path, (CorpusOptions){0}, 1, 1, "no known kind");
    free(path);
}

static void csv_fields_may_be_quoted(void **state)
{
    reads_as(state, as(CORPUS_CSV), "sentence_id,token,label\r\n1,\",\",O\r\n1,\"\"\"\",O\r\n1,\"a\r\nb\",B-X\r\n2,c,\"O\"",
             ",/O \"/O a\r\nb/B-X | c/O");
    reads_as(state, as(CORPUS_CSV),
             "\xEF\xBB\xBF"
             "a,O\nb,O\n\nc,O\n",
             "a/O b/O | c/O");
}

static void csv_columns_are_named_by_header_or_number(void **state)
{
    const char *text = "x,Wort,Satz,Etikett\nq,a,1,O\nq,b,1,B-X\nq,c,2,O\n";
    CorpusOptions options = {.format = CORPUS_CSV, .token_name = "wort", .label_name = "Etikett", .sentence_column = "Satz"};
    reads_as(state, options, text, "a/O b/B-X | c/O");
    options = (CorpusOptions){.format = CORPUS_CSV, .token_column = 2, .label_column = -1, .sentence_column = "3"};
    reads_as(state, options, text, "a/O b/B-X | c/O");
    options.label_name = "ner";
    fails_at(state, options, text, 1, 1, "no label column \"ner\" in the header");
    options = (CorpusOptions){.format = CORPUS_CSV, .token_column = 7};
    fails_at(state, options, text, 1, 1, "no token column 7");
}

static void a_column_of_a_conll_file_has_no_name(void **state)
{
    char *path = scratch_write(*state, "corpus", "a\tO\n");
    Diagnostic diagnostic = {0};
    Text result = {0};
    assert_int_equal(transcribe(path, (CorpusOptions){.token_name = "word"}, &result, NULL, &diagnostic), STATUS_USAGE);
    must_contain(diagnostic.message, "token_column is \"word\"");
    text_free(&result);
    free(path);
}

static void malformed_csv_is_refused_with_its_place(void **state)
{
    CorpusOptions csv = as(CORPUS_CSV);
    fails_at(state, csv, "a,O\n\"b,O\nc,O\n", 2, 1, "not closed");
    fails_at(state, csv, "a,O\nb\"c,O\n", 2, 2, "a quote in a field without quotes");
    fails_at(state, csv, "a,O\n\"b\"c,O\n", 2, 4, "behind a quoted field");
    fails_at(state, csv, "a,O\nb\n", 2, 1, "expected 2 columns separated by commas, found 1");
    fails_at(state, csv, "a,O\n\nb,\n", 3, 3, "the label is empty");
    fails_at(state, csv, "a,O\n\xFF,O\n", 2, 1, "0xFF");
    fails_at(state, csv, "a,O\nb,\"B-X\nc\"\n", 2, 3, "a TAB or a line end");
    fails_at(state, csv, "a\n", 1, 1, "cannot be told");
}

static void ids_as_tags_need_a_label_list(void **state)
{
    CorpusOptions options = as(CORPUS_JSONL);
    const char *text = "{\"tokens\":[\"a\",\"b\"],\"ner_tags\":[0,2]}\n";
    fails_at(state, options, text, 1, 1, "--label-list");
    options.label_list = "O,B-X,I-X";
    reads_as(state, options, text, "a/O b/I-X");
    options.label_list = "O,B-X";
    fails_at(state, options, text, 1, 1, "has the numbers 0 to 1");
}

static void malformed_json_lines_are_refused_with_their_place(void **state)
{
    CorpusOptions jsonl = as(CORPUS_JSONL);
    const char *good = "{\"tokens\":[\"a\"],\"ner_tags\":[\"O\"]}\n";
    static const struct {
        const char *line;
        long column;
        const char *part;
    } cases[] = {
        {"{\"tokens\":[\"a\"],\"ner_tags\":[\"O\"]", 32, "record 2: not valid JSON"},
        {"{\"tokens\":[\"a\"],}", 17, "record 2: not valid JSON"},
        {"  {\"tokens\":[\"a\"],\"ner_tags\":[]}", 3, "1 tokens and 0 tags"},
        {"{\"tokens\":[\"a\"]}", 1, "expected the keys"},
        {"{\"tokens\":[1],\"ner_tags\":[\"O\"]}", 1, "token 1 is no string"},
        {"{\"tokens\":[\"a\"],\"ner_tags\":[\"\"]}", 1, "tag 1"},
        {"{\"tokens\":[\"a\"],\"ner_tags\":[\"B\\tX\"]}", 1, "tag 1"},
        {"[1]", 1, "expected a JSON object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = memory_format("%s\n%s\n%s", good, cases[i].line, good);
        fails_at(state, jsonl, text, 3, cases[i].column, cases[i].part);
        free(text);
    }
    reads_as(state, jsonl, "{\"tokens\":[],\"ner_tags\":[]}\n", "");
}

static void prodigy_spans_may_be_given_by_tokens_and_rejected_tasks_are_left_out(void **state)
{
    CorpusOptions prodigy = as(CORPUS_PRODIGY);
    const char *tokens = "\"tokens\":[{\"text\":\"a-\",\"start\":0,\"end\":2},{\"text\":\"b\",\"start\":2,\"end\":3}]";
    char *text = memory_format("{\"text\":\"a-b\",%s,\"spans\":[{\"token_start\":0,\"token_end\":1,\"label\":\"X\"}]}\n"
                               "{\"text\":\"no\",\"spans\":[],\"answer\":\"reject\"}\n"
                               "{\"text\":\"a-b\",\"spans\":[]}\n",
                               tokens);
    char *path = scratch_write(*state, "tasks", text);
    Diagnostic diagnostic = {0};
    Text result = {0};
    CorpusCounts counts;
    must(transcribe(path, prodigy, &result, &counts, &diagnostic), &diagnostic);
    assert_string_equal(result.bytes, "a-/B-X b/I-X | a-b/O");
    assert_int_equal(counts.skipped, 1);
    text_free(&result);
    free(path);
    free(text);
    fails_at(state, prodigy, "{\"text\":\"ab\",\"tokens\":[{\"start\":0,\"end\":2},{\"start\":1,\"end\":2}]}\n", 1, 1, "token 2");
    fails_at(state, prodigy, "{\"text\":\"ab\",\"tokens\":[{\"start\":0,\"end\":2,\"text\":\"ax\"}]}\n", 1, 1, "token 1");
    fails_at(state, prodigy, "{\"text\":\"ab\",\"spans\":[{\"token_start\":0,\"token_end\":1,\"label\":\"X\"}]}\n", 1, 1,
             "0 tokens");
    fails_at(state, prodigy, "{\"spans\":[]}\n", 1, 1, "\"text\"");
}

static void spans_outside_of_their_text_are_refused(void **state)
{
    CorpusOptions spacy = as(CORPUS_SPACY);
    fails_at(state, spacy, "{\"text\":\"ab\",\"entities\":[[0,3,\"X\"]]}\n", 1, 1, "not within its text of 2 characters");
    fails_at(state, spacy, "{\"text\":\"ab\",\"entities\":[[1,1,\"X\"]]}\n", 1, 1, "the end behind the start");
    fails_at(state, spacy, "{\"text\":\"ab\",\"entities\":[[-1,1,\"X\"]]}\n", 1, 1, "span 1");
    fails_at(state, spacy, "{\"text\":\"ab\",\"entities\":[[0.5,1,\"X\"]]}\n", 1, 1, "span 1");
    fails_at(state, spacy, "{\"text\":\"ab\",\"entities\":[[0,2,\"\"]]}\n", 1, 1, "no label");
    fails_at(state, spacy, "{\"text\":\"ab\",\"entities\":[7]}\n", 1, 1, "span 1");
    fails_at(state, spacy, "{\"text\":\"ab\"}\n", 1, 1, "\"entities\"");
}

/* An emoji before the span: 2 UTF-16 units, 1 code point. */
#define TASK(start, end, text)                                                                                       \
    "[{\"data\":{\"text\":\"\\ud83d\\ude00 Ann ran\"},\"annotations\":[{\"result\":[{\"type\":\"labels\",\"value\":" \
    "{\"start\":" start ",\"end\":" end ",\"text\":\"" text "\",\"labels\":[\"PER\"]}}]}]}]"

static void label_studio_offsets_in_utf16_are_found_and_counted(void **state)
{
    static const char *const texts[] = {TASK("2", "5", "Ann"), TASK("3", "6", "Ann")};
    for (int utf16 = 0; utf16 < 2; utf16++) {
        char *path = scratch_write(*state, "tasks", texts[utf16]);
        Diagnostic diagnostic = {0};
        Text result = {0};
        CorpusCounts counts;
        must(transcribe(path, (CorpusOptions){0}, &result, &counts, &diagnostic), &diagnostic);
        assert_string_equal(result.bytes, "\xF0\x9F\x98\x80/O Ann/B-PER ran/O");
        assert_int_equal(counts.utf16, utf16);
        text_free(&result);
        free(path);
    }
    fails_at(state, (CorpusOptions){0}, TASK("4", "7", "Ann"), 1, 2, "should read \"Ann\"");
    fails_at(state, (CorpusOptions){0}, TASK("1", "5", "Ann"), 1, 2, "UTF-16 units do not fit either");
}

static void of_several_annotations_the_ground_truth_or_the_first_counts(void **state)
{
    const char *region = "{\"value\":{\"start\":0,\"end\":1,\"labels\":[\"%s\"]}}";
    char *x = memory_format(region, "X"), *y = memory_format(region, "Y");
    char *text =
        memory_format("[{\"data\":{\"text\":\"a\"},\"annotations\":[{\"was_cancelled\":true,\"result\":[]},{\"result\":[%s]},"
                      "{\"result\":[%s]}]},\n{\"data\":{\"text\":\"b\"},\"annotations\":[]},\n{\"data\":{\"text\":\"c\"},"
                      "\"annotations\":[{\"result\":[%s]},{\"result\":[%s],\"ground_truth\":true}]}]",
                      x, y, x, y);
    reads_as(state, (CorpusOptions){0}, text, "a/B-X | c/B-Y");
    free(text);
    free(x);
    free(y);
}

static void a_broken_array_of_tasks_is_refused_with_its_place(void **state)
{
    CorpusOptions tasks = as(CORPUS_LABELSTUDIO);
    const char *task = "{\"text\":\"a\"}";
    static const struct {
        const char *tail;
        long line, column;
        const char *part;
    } cases[] = {
        {",\n  {\"text\":\"a\"", 2, 14, "ends within the array"},
        {"", 1, 14, "ends within the array"},
        {",\n]", 2, 1, "a comma before the end"},
        {"\n{}]", 2, 1, "expected , or ]"},
        {"]\nx", 2, 1, "nothing behind"},
        {",\n  {\"text\": a}]", 2, 12, "record 2: not valid JSON"},
        {",\n\n  7]", 3, 3, "record 2: expected a JSON object"},
        {",\n {\"data\":{\"text\":7},\"annotations\":[{\"result\":[]}]}]", 2, 2, "record 2: expected the task's text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = memory_format("[%s%s", task, cases[i].tail);
        fails_at(state, tasks, text, cases[i].line, cases[i].column, cases[i].part);
        free(text);
    }
    fails_at(state, tasks, "{}", 1, 1, "begins with [");
    reads_as(state, tasks, " [ ] \n", "");
}

static void brat_fails_at(void **state, const char *text, const char *annotations, long line, long column, const char *part)
{
    char *text_path = scratch_write(*state, "doc.txt", text), *path = scratch_write(*state, "doc.ann", annotations);
    file_fails_at(path, (CorpusOptions){0}, line, column, part);
    free(text_path);
    free(path);
}

static void brat_lines_are_sentences_unless_a_span_goes_on(void **state)
{
    char *text = scratch_write(*state, "doc.txt", "New\nYork is\n\nbig\n\xC3\xA9 x"),
         *path = scratch_write(*state, "doc.ann", "T2\tY 17 18\t\xC3\xA9\nT1\tX 0 8\tNew York\nA1\tsure T1\n");
    file_reads_as(path, (CorpusOptions){0}, "New/B-X York/I-X is/O | big/O | \xC3\xA9/B-Y x/O");
    file_reads_as(*state, (CorpusOptions){0}, "New/B-X York/I-X is/O | big/O | \xC3\xA9/B-Y x/O");
    free(text);
    free(path);
}

static void malformed_brat_files_are_refused_with_their_place(void **state)
{
    brat_fails_at(state, "a b\n", "T1\tX 0 1\ta\nT2\tX 0 1;2 3\ta b\n", 2, 1, "several fragments");
    brat_fails_at(state, "a b\n", "T1\tX 0 9\ta\n", 1, 1, "not within the 4 characters of doc.txt");
    brat_fails_at(state, "a b\n", "T1\tX 2 2\t\n", 1, 1, "not within");
    brat_fails_at(state, "a b\n", "T1\tX 0 1\tb\n", 1, 1, "should read \"b\"");
    brat_fails_at(state, "a b\n", "\nT1 X 0 1 a\n", 2, 1, "expected an id, TAB");
    brat_fails_at(state, "a b\n", "T1\tX 0 b\ta\n", 1, 1, "expected an id, TAB");
    brat_fails_at(state, "a\nb\xFF\n", "", 2, 2, "0xFF");
    brat_fails_at(state, "a\n", "#\xFF\n", 1, 2, "UTF-8");
}

static void counted(void **state, CorpusOptions options, const char *text, const char *expected, int64_t misaligned,
                    int64_t flattened)
{
    char *path = scratch_write(*state, "corpus", text);
    Diagnostic diagnostic = {0};
    Text result = {0};
    CorpusCounts counts;
    must(transcribe(path, options, &result, &counts, &diagnostic), &diagnostic);
    assert_string_equal(result.bytes, expected);
    assert_int_equal(counts.misaligned, misaligned);
    assert_int_equal(counts.flattened, flattened);
    text_free(&result);
    free(path);
}

static void a_span_that_cuts_a_token_is_refused_or_handled_as_asked(void **state)
{
    /* "New Yo": from a token into the next; "ig ": within a token and with a space; "now": fine. */
    const char *text = "{\"text\":\"New York big now\",\"entities\":[[0,6,\"A\"],[10,13,\"B\"],[13,16,\"C\"]]}\n";
    fails_at(state, as(CORPUS_SPACY), text, 1, 1, "the span A \"New Yo\" (characters 0 to 6)");
    counted(state, (CorpusOptions){.misaligned = MISALIGNED_EXPAND}, text, "New/B-A York/I-A big/B-B now/B-C", 2, 0);
    counted(state, (CorpusOptions){.misaligned = MISALIGNED_CONTRACT}, text, "New/B-A York/O big/O now/B-C", 2, 0);
    counted(state, (CorpusOptions){.misaligned = MISALIGNED_DROP}, text, "New/O York/O big/O now/B-C", 2, 0);
}

static void overlapping_spans_are_refused_or_flattened_as_asked(void **state)
{
    /* In "a b c d e f": A a-c, B b, C c-f (4 long), D f. */
    const char *text = "{\"text\":\"a b c d e f\",\"entities\":[[2,3,\"B\"],[0,5,\"A\"],[4,11,\"C\"],[10,11,\"D\"]]}\n";
    fails_at(state, as(CORPUS_SPACY), text, 1, 1, "the spans A \"a b c\" and B \"b\" overlap");
    counted(state, (CorpusOptions){.flatten = FLATTEN_OUTERMOST}, text, "a/B-A b/I-A c/I-A d/O e/O f/B-D", 0, 2);
    counted(state, (CorpusOptions){.flatten = FLATTEN_LONGEST}, text, "a/O b/B-B c/B-C d/I-C e/I-C f/I-C", 0, 2);
    counted(state, (CorpusOptions){.flatten = FLATTEN_INNERMOST}, text, "a/O b/B-B c/O d/O e/O f/B-D", 0, 2);
    counted(state, (CorpusOptions){.flatten = FLATTEN_FIRST}, text, "a/O b/B-B c/B-C d/I-C e/I-C f/I-C", 0, 2);
    counted(state, (CorpusOptions){0}, "{\"text\":\"a\",\"entities\":[[0,1,\"A\"],[0,1,\"A\"]]}\n", "a/B-A", 0, 0);
}

static void the_scheme_and_the_words_rule_are_those_asked_for(void **state)
{
    const char *text = "{\"text\":\"a b c-d\",\"entities\":[[0,3,\"X\"],[4,7,\"X\"]]}\n";
    CorpusOptions options = {.scheme_given = true, .scheme = SCHEME_IOBES};
    reads_as(state, options, text, "a/B-X b/E-X c-d/S-X");
    options = (CorpusOptions){.words_given = true, .words = WORDS_BERT};
    reads_as(state, options, text, "a/B-X b/I-X c/B-X -/I-X d/I-X");
    options = (CorpusOptions){.scheme_given = true, .scheme = SCHEME_IO};
    fails_at(state, options, text, 1, 1, "two spans of type X meet");
    options.merge_adjacent = true;
    reads_as(state, options, text, "a/I-X b/I-X c-d/I-X");
}

static void count_problem(void *context, const char *file, long line, long column, ProblemSeverity severity, const char *rule,
                          const char *message)
{
    (void)file, (void)column, (void)severity, (void)message;
    text_format(context, "%ld:%s ", line, rule);
}

static void told_problems_are(void **state, CorpusFormat format, const char *text, const char *problems, int sentences)
{
    char *path = scratch_write(*state, "corpus", text);
    Diagnostic diagnostic = {0};
    CorpusReader *reader = NULL;
    Text told = {0};
    must(corpus_reader_open(&reader, path, as(format), count_problem, &told, &diagnostic), &diagnostic);
    for (const CorpusSentence *sentence;; sentences--) {
        must(corpus_reader_next(reader, &sentence, &diagnostic), &diagnostic);
        if (!sentence)
            break;
    }
    assert_string_equal(told.bytes, problems);
    assert_int_equal(sentences, 0);
    corpus_reader_close(&reader);
    text_free(&told);
    free(path);
}

static void reading_goes_on_behind_a_problem_that_was_told(void **state)
{
    told_problems_are(state, CORPUS_SPACY,
                      "{\"text\":\"a\",\"entities\":[[0,7,\"X\"]]}\nnot JSON\n{\"text\":\"ab\",\"entities\":[[0,1,\"X\"]]}\n"
                      "{\"text\":\"ab\",\"entities\":[[0,2,\"X\"]]}\n",
                      "1:span-offsets 2:json 3:misaligned-span ", 1);
    told_problems_are(state, CORPUS_CSV, "a,O\nb\"c,O\nd\ne,\nf,O\n", "2:csv 3:column-count 4:empty-label ", 1);
}

static void a_record_over_the_limit_is_refused(void **state)
{
    Text text = {0};
    Diagnostic diagnostic = {0};
    Text result = {0};
    text_append_string(&text, "[{\"text\":\"");
    size_t head = text.size;
    char *filler = memory_allocate(CORPUS_SENTENCE_BYTES + 16, 1);
    memset(filler, 'a', CORPUS_SENTENCE_BYTES + 16);
    text_append(&text, filler, CORPUS_SENTENCE_BYTES + 16);
    char *path = scratch_write_bytes(*state, "long", text.bytes, text.size);
    assert_true(head < 16);
    assert_int_equal(transcribe(path, as(CORPUS_LABELSTUDIO), &result, NULL, &diagnostic), STATUS_LIMIT);
    must_contain(diagnostic.message, "record 1 is longer than");
    assert_int_equal(transcribe(path, as(CORPUS_PRODIGY), &result, NULL, &diagnostic), STATUS_LIMIT);
    free(filler);
    free(path);
    text_free(&text);
    text_free(&result);
}

static void shards_are_made_of_texts_and_not_of_pairs_of_files(void **state)
{
    char *texts = path_join(NERSWEEP_SOURCE_DIR "/tests/shard/data", "small.prodigy.jsonl"),
         *pair = path_join(NERSWEEP_SOURCE_DIR "/tests/shard/data", "small.ann"), *shards = path_join(*state, "brat");
    char *vocabulary = vocabulary_write(*state, NULL);
    Diagnostic diagnostic = {0};
    ShardStore *store = store_of(*state, texts, NULL);
    assert_int_equal(shard_sequence_count(store, 0), 2);
    assert_int_equal(label_set_count(shard_store_labels(store)), 5);
    shard_store_close(&store);
    ShardSource source = {.split = "train", .path = pair};
    ShardBuild build = {.sources = &source, .source_count = 1, .vocab_path = vocabulary, .options = data_options()};
    assert_int_equal(shard_store_build(&build, shards, NULL, &diagnostic), STATUS_UNSUPPORTED);
    must_contain(diagnostic.message, "nersweep convert");
    assert_false(path_exists(shards));
    free(texts);
    free(pair);
    free(shards);
    free(vocabulary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_format_is_found_by_its_content_and_reads_the_same, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(what_only_looks_like_another_format_is_not_taken_for_it, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(csv_fields_may_be_quoted, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(csv_columns_are_named_by_header_or_number, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_column_of_a_conll_file_has_no_name, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(malformed_csv_is_refused_with_its_place, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(ids_as_tags_need_a_label_list, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(malformed_json_lines_are_refused_with_their_place, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(prodigy_spans_may_be_given_by_tokens_and_rejected_tasks_are_left_out, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(spans_outside_of_their_text_are_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(label_studio_offsets_in_utf16_are_found_and_counted, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(of_several_annotations_the_ground_truth_or_the_first_counts, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_broken_array_of_tasks_is_refused_with_its_place, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(brat_lines_are_sentences_unless_a_span_goes_on, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(malformed_brat_files_are_refused_with_their_place, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_span_that_cuts_a_token_is_refused_or_handled_as_asked, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(overlapping_spans_are_refused_or_flattened_as_asked, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(the_scheme_and_the_words_rule_are_those_asked_for, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(reading_goes_on_behind_a_problem_that_was_told, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(shards_are_made_of_texts_and_not_of_pairs_of_files, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_record_over_the_limit_is_refused, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
