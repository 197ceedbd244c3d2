/* One corpus format (FUZZ_FORMAT) in all the ways that commands read it. For brat the input is the text and, behind a line "====", its
 * annotations. */
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "shard/corpus.h"
#include "tests/fuzz/harness.h"
#include "tests/shard/reading.h"

static const char divider[] = "====\n";

static void check_sentence(const CorpusSentence *sentence, bool keep_text)
{
    size_t reached = 0;
    ASSERT(sentence->line >= 1 && sentence->token_count >= 0);
    ASSERT(sentence->token_count > 0 || (keep_text && sentence->text));
    for (int32_t i = 0; i < sentence->token_count; i++) {
        const CorpusToken *token = &sentence->tokens[i];
        ASSERT(strlen(token->text) == token->text_size);
        ASSERT(fuzz_is_utf8((const uint8_t *)token->text, token->text_size));
        ASSERT(fuzz_is_utf8((const uint8_t *)token->label, strlen(token->label)));
        ASSERT(token->label[0] != '\0' && !strpbrk(token->label, "\t\n"));
        ASSERT(token->line >= 1 && token->token_column >= 1 && token->label_column >= 1);
        if (!sentence->text)
            continue;
        ASSERT(token->start >= reached && token->start <= token->end && token->end <= sentence->text_size);
        ASSERT(token->end - token->start == token->text_size);
        ASSERT(memcmp(sentence->text + token->start, token->text, token->text_size) == 0);
        reached = token->end;
    }
    if (sentence->text)
        ASSERT(fuzz_is_utf8((const uint8_t *)sentence->text, sentence->text_size));
    for (size_t i = 0; i < sentence->span_count; i++) {
        const CorpusSpan *span = &sentence->spans[i];
        ASSERT(span->start < span->end && span->end <= sentence->text_size && span->label[0] != '\0' && span->line >= 1);
        ASSERT(fuzz_is_utf8((const uint8_t *)sentence->text + span->start, span->end - span->start));
    }
}

static void check_problem(void *context, const char *file, long line, long column, ProblemSeverity severity, const char *rule,
                          const char *message)
{
    (void)context;
    (void)severity;
    ASSERT(file[0] != '\0' && line >= 1 && column >= 0 && rule[0] != '\0' && message[0] != '\0');
    ASSERT(fuzz_is_utf8((const uint8_t *)message, strlen(message)));
}

static void read_corpus(const char *path, CorpusOptions options, CorpusProblem problem)
{
    CorpusReader *reader = NULL;
    Diagnostic diagnostic = {0};
    uint64_t done, total;
    Status status = corpus_reader_open(&reader, path, options, problem, NULL, &diagnostic);
    while (status == STATUS_OK) {
        const CorpusSentence *sentence;
        status = corpus_reader_next(reader, &sentence, &diagnostic);
        if (status != STATUS_OK || !sentence)
            break;
        check_sentence(sentence, options.keep_text);
        corpus_reader_progress(reader, &done, &total);
        ASSERT(done <= total);
    }
    corpus_reader_close(&reader);
    if (status == STATUS_OK)
        return;
    ASSERT(diagnostic.code == status && diagnostic.message[0] && diagnostic.input_file[0] && diagnostic.input_line >= 1);
    ASSERT(fuzz_is_utf8((const uint8_t *)diagnostic.message, strlen(diagnostic.message)));
}

/* In ranges it is the same file, wherever it is cut. */
static void read_ranges(const char *path, CorpusOptions options, size_t size)
{
    const RangeSizes sizes[] = {
        {1, UINT64_MAX, false}, {1, UINT64_MAX, true}, {size / 3, size / 2, false}, {size / 7, size / 2, true}, {1, 16, false}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ReadingCounts counts;
        char *whole = reading_of_whole(path, options, sizes[i].documents);
        char *ranges = reading_of_ranges(path, options, &sizes[i], &counts);
        ASSERT(strcmp(whole, ranges) == 0);
        free(whole);
        free(ranges);
    }
}

/* Sequences are the same, whether a range is scanned or read line by line. */
static void read_sequences(const char *path, CorpusOptions options, size_t size)
{
    for (int i = 0; i < 8; i++) {
        PartCounts counts;
        size_t part_bytes = i & 4 ? size / 3 : SIZE_MAX;
        options.token_column = i & 2 ? 2 : 1;
        char *lines = reading_of_sequences(path, options, i & 1, part_bytes, true, &counts);
        char *scans = reading_of_sequences(path, options, i & 1, part_bytes, false, &counts);
        ASSERT(strcmp(lines, scans) == 0);
        free(lines);
        free(scans);
    }
}

static char *write_input(const uint8_t *bytes, size_t size)
{
    if (FUZZ_FORMAT != CORPUS_BRAT)
        return fuzz_write("corpus", bytes, size);
    const uint8_t *found = size > 0 ? memmem(bytes, size, divider, sizeof divider - 1) : NULL;
    const uint8_t *rest = found ? found + sizeof divider - 1 : bytes + size;
    free(fuzz_write("corpus.ann", rest, (size_t)(bytes + size - rest)));
    return fuzz_write("corpus.txt", bytes, found ? (size_t)(found - bytes) : size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *path = write_input(bytes, size);
    CorpusOptions options = {.format = FUZZ_FORMAT, .label_list = "O,B-X,I-X"};
    read_corpus(path, options, NULL);
    read_corpus(path, options, check_problem);
    if (FUZZ_FORMAT == CORPUS_CONLL) {
        read_ranges(path, options, size);
        read_sequences(path, options, size);
    }
    if (corpus_format_is_text(FUZZ_FORMAT)) {
        options.keep_text = true;
        read_corpus(path, options, NULL);
        options.keep_text = false;
        options.words_given = options.scheme_given = true;
        for (int policy = MISALIGNED_EXPAND; policy <= MISALIGNED_DROP; policy++) {
            options.misaligned = (MisalignedPolicy)policy;
            options.flatten = (FlattenPolicy)(FLATTEN_OUTERMOST + (int)(size % 4));
            options.words = (WordsRule)(policy % WORDS_COUNT);
            options.scheme = (LabelScheme)(size % SCHEME_COUNT);
            read_corpus(path, options, check_problem);
        }
    } else {
        options.token_column = -2;
        read_corpus(path, options, check_problem);
    }
    free(path);
    return 0;
}
