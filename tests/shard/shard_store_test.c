/* Shards are built, read back as the corpus says, and refused where the files or options do not fit. */
#include "project.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/io/file.h"
#include "shard/corpus.h"
#include "shard/shard_format.h"

/* Every token of the sequence is labelled by exactly one of its windows, and by its gold label. */
static void check_windows(const ShardStore *store, int32_t split, int64_t index, const ShardSequence *sequence)
{
    Diagnostic diagnostic = {0};
    int32_t *seen = memory_allocate((size_t)sequence->token_count, sizeof *seen);
    for (int64_t w = sequence->first_window; w < sequence->first_window + sequence->window_count; w++) {
        ShardWindow window;
        const ShardWindowInfo *info = &shard_window_infos(store, split)[w];
        int32_t labelled = 0;
        bool span = false;
        must(shard_window_read(store, split, w, scratch_arena(), &window, &diagnostic), &diagnostic);
        assert_int_equal(window.sequence, index);
        assert_int_equal((uintptr_t)window.ids % sizeof(int32_t), 0);
        assert_true(window.length <= 32 && window.ids[0] == 2 && window.ids[window.length - 1] == 3); /* [CLS], [SEP] */
        assert_int_equal(window.token_index[0], -1);
        assert_int_equal(window.token_index[window.length - 1], -1);
        for (int32_t i = 0; i < window.length; i++) {
            if (window.labels[i] == TOKEN_LABEL_IGNORED)
                continue;
            assert_true(i >= window.owned_first && i < window.owned_end);
            assert_int_equal(window.labels[i], sequence->gold[window.token_index[i]]);
            seen[window.token_index[i]]++;
            labelled++;
            span |= strcmp(label_set_name(shard_store_labels(store), window.labels[i]), "O") != 0;
        }
        assert_int_equal(info->length, window.length);
        assert_int_equal(info->label_count, labelled);
        assert_int_equal(info->has_span, span);
        assert_true(info->weight == 1.0f && window.weight == 1.0f);
    }
    for (int32_t i = 0; i < sequence->token_count; i++)
        assert_int_equal(seen[i], 1);
    free(seen);
}

/* The store says what the file says. */
static void check_split(const ShardStore *store, const char *split_name, const char *path)
{
    Diagnostic diagnostic = {0};
    CorpusReader *reader = NULL;
    const CorpusSentence *sentence;
    int32_t split = shard_split_find(store, split_name);
    assert_true(split >= 0);
    must(corpus_reader_open(&reader, path, (CorpusOptions){0}, NULL, NULL, &diagnostic), &diagnostic);
    int64_t index = 0, windows = 0;
    for (;; index++) {
        must(corpus_reader_next(reader, &sentence, &diagnostic), &diagnostic);
        if (!sentence)
            break;
        ShardSequence sequence;
        must(shard_sequence_read(store, split, index, scratch_arena(), &sequence, &diagnostic), &diagnostic);
        assert_int_equal(sequence.token_count, sentence->token_count);
        assert_int_equal(sequence.line, sentence->line);
        assert_int_equal(sequence.first_window, windows);
        for (int32_t i = 0; i < sequence.token_count; i++) {
            assert_int_equal(sequence.text_offsets[i + 1] - sequence.text_offsets[i], sentence->tokens[i].text_size);
            assert_memory_equal(sequence.text + sequence.text_offsets[i], sentence->tokens[i].text, sentence->tokens[i].text_size);
            assert_string_equal(label_set_name(shard_store_all_labels(store), sequence.gold[i]), sentence->tokens[i].label);
        }
        check_windows(store, split, index, &sequence);
        windows += sequence.window_count;
    }
    assert_int_equal(index, shard_sequence_count(store, split));
    assert_int_equal(windows, shard_window_count(store, split));
    corpus_reader_close(&reader);
}

static void what_is_read_back_is_what_the_corpus_says(void **state)
{
    static const char *const splits[] = {"train", "dev", "test"}, *const labels[] = {"B-LOC",  "B-MISC", "B-ORG", "B-PER", "I-LOC",
                                                                                     "I-MISC", "I-ORG",  "I-PER", "O"};
    Project *project = project_new(*state, "round-trip");
    project_source(project, "train", example("train.conll"));
    project_source(project, "dev", example("dev.conll"));
    project_source(project, "test", example("test.conll"));
    project->build.options.max_seq_length = 32;
    project->build.options.stride = 8;
    ShardStore *store = project_open(project);
    assert_false(project->summary.up_to_date);
    assert_int_equal(project->summary.sentences, 284 + 73 + 77);
    assert_int_equal(project->summary.tokens, 5754 + 1383 + 1409);
    assert_true(project->summary.windows > project->summary.sentences);
    assert_int_equal(shard_store_scheme(store), SCHEME_IOB2);
    assert_int_equal(label_set_count(shard_store_labels(store)), 9);
    for (int32_t i = 0; i < 9; i++)
        assert_string_equal(label_set_name(shard_store_labels(store), i), labels[i]);
    assert_string_equal(shard_split_name(store, 1), "dev:dev");
    assert_int_equal(shard_split_find(store, "dev:dev"), 1);
    assert_int_equal(shard_split_find(store, "dev:other"), -1);
    assert_int_equal(shard_store_options(store)->max_seq_length, 32);
    for (int i = 0; i < 3; i++)
        check_split(store, splits[i], project->paths[i]);
    shard_store_close(&store);
    holds_only(project, "shards.mdb");
    project_free(&project);
}

static void building_again_does_nothing_until_something_changes(void **state)
{
    Project *project = small_project(*state, "again");
    ShardStore *store = project_open(project);
    char *path = path_join(project->shards, SHARD_FILE_NAME), *identity = memory_copy_string(shard_store_identity(store));
    struct stat before, after;
    shard_store_close(&store);
    assert_int_equal(stat(path, &before), 0);
    must(project_build(project), &project->diagnostic);
    assert_true(project->summary.up_to_date);
    assert_int_equal(project->summary.sentences, 3);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    project->build.options.stride = 20;
    store = project_open(project);
    assert_false(project->summary.up_to_date);
    assert_string_not_equal(shard_store_identity(store), identity);
    shard_store_close(&store);
    project->build.options.stride = data_options().stride;
    free(scratch_write(project->folder, "dev.conll", SMALL_DEV "\nTom\tB-PER\n"));
    must(project_build(project), &project->diagnostic);
    assert_false(project->summary.up_to_date);
    assert_int_equal(project->summary.sentences, 4);
    free(identity);
    free(path);
    project_free(&project);
}

static void the_same_input_elsewhere_gives_the_same_identity_and_records(void **state)
{
    uint64_t digests[2];
    for (int i = 0; i < 2; i++) {
        Project *project = small_project(*state, i ? "there" : "here");
        must(project_build(project), &project->diagnostic);
        must(read_all(project->shards, &digests[i], &project->diagnostic), &project->diagnostic);
        project_free(&project);
    }
    assert_int_equal(digests[0], digests[1]);
}

static void labels_that_only_dev_has_are_named_and_kept_apart(void **state)
{
    Project *project = project_new(*state, "dev-only");
    project_text(project, "train", "train.conll", SMALL_TRAIN);
    project_text(project, "dev:odd", "dev.conll", "Fido\tB-ANIMAL\nis\tO\nAnn\tB-PER\n");
    log_capture(project->folder);
    ShardStore *store = project_open(project);
    char *log = log_captured(project->folder);
    must_contain(log, "the training files lack 1 labels");
    must_contain(log, "B-ANIMAL");
    free(log);
    assert_int_equal(label_set_find(shard_store_labels(store), "B-ANIMAL"), -1);
    assert_int_equal(label_set_find(shard_store_all_labels(store), "B-ANIMAL"), label_set_count(shard_store_labels(store)));
    ShardSequence sequence;
    ShardWindow window;
    must(shard_sequence_read(store, 1, 0, scratch_arena(), &sequence, &project->diagnostic), &project->diagnostic);
    must(shard_window_read(store, 1, 0, scratch_arena(), &window, &project->diagnostic), &project->diagnostic);
    assert_string_equal(label_set_name(shard_store_all_labels(store), sequence.gold[0]), "B-ANIMAL");
    for (int32_t i = 0; i < window.length; i++)
        if (window.token_index[i] == 0)
            assert_int_equal(window.labels[i], TOKEN_LABEL_IGNORED);
    assert_int_equal(shard_window_infos(store, 1)[0].label_count, 2);
    shard_store_close(&store);
    project_free(&project);
}

static void documents_are_joined_and_their_spans_are_not(void **state)
{
    Project *project = project_new(*state, "documents");
    project_text(
        project, "train", "train.conll",
        "-DOCSTART-\tO\n\nin\tO\nNew\tI-LOC\n\nYork\tI-LOC\nis\tO\n\n-DOCSTART-\tO\n\nAnn\tI-PER\n\nsat\tO\nin\tO\nOslo\tI-LOC\n");
    project->build.options.unit = UNIT_DOCUMENT;
    ShardStore *store = project_open(project);
    assert_int_equal(shard_sequence_count(store, 0), 2);
    assert_int_equal(project->summary.sentences, 4);
    assert_int_equal(shard_store_scheme(store), SCHEME_IOB1); /* of what is written, not of what was joined */
    ShardSequence sequence;
    must(shard_sequence_read(store, 0, 0, scratch_arena(), &sequence, &project->diagnostic), &project->diagnostic);
    assert_int_equal(sequence.token_count, 4);
    assert_memory_equal(sequence.text, "inNewYorkis", 11);
    assert_string_equal(label_set_name(shard_store_all_labels(store), sequence.gold[1]), "I-LOC");
    assert_string_equal(label_set_name(shard_store_all_labels(store), sequence.gold[2]), "B-LOC"); /* begins a span of its own */
    must(shard_sequence_read(store, 0, 1, scratch_arena(), &sequence, &project->diagnostic), &project->diagnostic);
    assert_int_equal(sequence.token_count, 4);
    assert_int_equal(sequence.line, 11);
    shard_store_close(&store);
    project_free(&project);
}

static void several_files_feed_one_split_in_order(void **state)
{
    Project *project = project_new(*state, "several");
    project_text(project, "train", "a.conll", "a\tO\n");
    project_text(project, "test", "t.conll", "t\tO\n");
    project_text(project, "train", "b.conll", "b\tB-X\n");
    ShardStore *store = project_open(project);
    ShardSequence sequence;
    assert_int_equal(shard_split_count(store), 2);
    assert_int_equal(shard_sequence_count(store, 0), 2);
    must(shard_sequence_read(store, 0, 1, scratch_arena(), &sequence, &project->diagnostic), &project->diagnostic);
    assert_memory_equal(sequence.text, "b", 1);
    shard_store_close(&store);
    project_free(&project);
}

static void refuses_text(void **state, const char *name, const char *text, long line, long column, const char *part)
{
    Project *project = project_new(*state, name);
    project_text(project, "train", "train.conll", text);
    refuses(project, STATUS_INVALID_INPUT, part);
    assert_int_equal(project->diagnostic.input_line, line);
    assert_int_equal(project->diagnostic.input_column, column);
    must_contain(project->diagnostic.input_file, "train.conll");
    project_free(&project);
}

static void what_cannot_be_read_is_refused_with_its_place_and_leaves_nothing(void **state)
{
    refuses_text(state, "prefix", "Ann\tB-PER\nran\tX-VERB\n", 2, 5, "\"X-VERB\" is no label");
    refuses_text(state, "columns", "Ann\tB-PER\nran\n", 2, 1, "column-count");
    refuses_text(state, "utf8", "Ann\tB-PER\nr\xFFn\tO\n", 2, 2, "not valid UTF-8");
    refuses_text(state, "empty", "\n\n", 1, 0, "no labelled token");
}

static void files_and_options_that_do_not_fit_are_refused(void **state)
{
    Project *project = small_project(*state, "misfit");
    ShardBuild good = project->build;
    project->sources[1].path = "nowhere/dev.conll";
    refuses(project, STATUS_NOT_FOUND, "nowhere/dev.conll");
    project->sources[1].path = project->paths[1];
    project->sources[1].split = "valid";
    refuses(project, STATUS_USAGE, "there is no split \"valid\"");
    project->sources[1].split = "dev";
    project->sources[0].split = "test";
    refuses(project, STATUS_USAGE, "no training file");
    project->sources[0].split = "train";
    project->build.vocab_path = "nowhere/vocab.txt";
    refuses(project, STATUS_NOT_FOUND, "nowhere/vocab.txt");
    project->build = good;
    project->build.model_vocab_size = 10;
    refuses(project, STATUS_MISMATCH, "10");
    project->build = good;
    project->build.max_positions = 128;
    refuses(project, STATUS_MISMATCH, "128 positions");
    project->build = good;
    project->build.options.stride = 510;
    refuses(project, STATUS_USAGE, "stride is 510");
    project->build = good;
    project->build.options.max_seq_length = 2;
    refuses(project, STATUS_USAGE, "max_seq_length is 2");
    project->build = good;
    project->build.words = "letters";
    refuses(project, STATUS_USAGE, "words is \"letters\"");
    project->build = good;
    snprintf(project->build.options.scheme, sizeof project->build.options.scheme, "XYZ");
    refuses(project, STATUS_USAGE, "scheme is \"XYZ\"");
    project->build = good;
    project->build.options.unit = UNIT_DOCUMENT;
    snprintf(project->build.options.label_column, sizeof project->build.options.label_column, "4");
    refuses(project, STATUS_INVALID_INPUT, "no label column 4");
    project_free(&project);
}

static void a_vocabulary_of_another_kind_is_refused(void **state)
{
    Project *project = project_new(*state, "vocabulary");
    project_text(project, "train", "train.conll", "\xD0\x90\xD0\xBD\xD0\xBD\xD0\xB0\tB-PER\n\xD0\xB8\tO\n.\tO\n");
    refuses(project, STATUS_MISMATCH, "66.7% of the training pieces are [UNK]");
    project_free(&project);
}

static void casing_that_does_not_fit_the_vocabulary_is_refused(void **state)
{
    char words[2][25][8];
    const char *lists[2][26] = {{0}};
    Text text = {0};
    for (int i = 0; i < 25; i++) {
        snprintf(words[0][i], sizeof words[0][i], "Wor%c", 'a' + i);
        snprintf(words[1][i], sizeof words[1][i], "wor%c", 'a' + i);
        lists[0][i] = words[0][i];
        lists[1][i] = words[1][i];
        for (int times = 0; times < 3; times++)
            text_format(&text, "%s\tB-X\n", words[0][i]);
    }
    Project *project = project_new(*state, "casing");
    project_text(project, "train", "train.conll", text.bytes);
    free(vocabulary_write(project->folder, lists[0])); /* capitals only */
    project->build.lowercase = true;
    refuses(project, STATUS_MISMATCH, "is cased");
    free(vocabulary_write(project->folder, lists[1])); /* small letters only */
    project->build.lowercase = false;
    refuses(project, STATUS_MISMATCH, "is uncased");
    project->build.lowercase = true;
    must(project_build(project), &project->diagnostic);
    project_free(&project);
    text_free(&text);
}

static void scheme_violations_are_warnings_and_errors_when_strict(void **state)
{
    Project *project = project_new(*state, "scheme");
    project_text(project, "train", "train.conll", "Ann\tB-PER\nLee\tI-PER\n\nin\tO\nOslo\tI-LOC\n\nBergen\tI-LOC\n");
    log_capture(project->folder);
    must(project_build(project), &project->diagnostic);
    char *log = log_captured(project->folder);
    must_contain(log, "train.conll:5:6: \"I-LOC\" is not allowed here by the scheme IOB2");
    assert_null(strstr(log, "train.conll:7"));
    free(log);
    project->build.options.strict = true;
    assert_int_equal(project_build(project), STATUS_INVALID_INPUT);
    assert_int_equal(project->diagnostic.input_line, 5);
    assert_int_equal(project->diagnostic.input_column, 6);
    holds_only(project, "shards.mdb"); /* the old ones */
    project_free(&project);
}

static void tokens_without_pieces_keep_their_label_or_are_refused_with_their_line(void **state)
{
    Project *project = project_new(*state, "zero");
    project_text(project, "train", "train.conll", "so\tO\nnice\tO\n\xEF\xB8\x8F\tB-X\nday\tO\n");
    project->build.lowercase = true;
    project->build.options.zero_piece = ZERO_PIECE_ERROR;
    refuses(project, STATUS_INVALID_INPUT, "no word piece");
    assert_int_equal(project->diagnostic.input_line, 3);
    project->build.options.zero_piece = ZERO_PIECE_UNK;
    ShardStore *store = project_open(project);
    assert_int_equal(project->summary.zero_piece_tokens, 1);
    assert_int_equal(project->summary.unk_pieces, 0);
    assert_int_equal(shard_window_infos(store, 0)[0].label_count, 4);
    assert_int_equal(shard_window_infos(store, 0)[0].has_span, 1);
    shard_store_close(&store);
    project_free(&project);
}

/* ---- records ---- */

enum { WIDE_WORDS = 70000, WIDE_LABELS = 300 };

/* Token i of sequence s: its word, and its label. */
static int32_t wide_word(int32_t s, int32_t i)
{
    return s == 2 ? i : i % 100 * (s + 1);
}

static int32_t wide_label(int32_t s, int32_t i)
{
    return s == 0 ? i % 20 : i % WIDE_LABELS;
}

/* A vocabulary, and sentences of 100, 400 and 70000 tokens: numbers of 1, 2 and 4 bytes, of each kind. */
static void wide_write(Project *project, const int32_t *counts)
{
    Text text = {0};
    text_append_string(&text, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (int32_t i = 0; i < WIDE_WORDS; i++)
        text_format(&text, "w%d\n", i);
    free(scratch_write(project->folder, "vocab.txt", text.bytes));
    text_clear(&text);
    for (int32_t s = 0; s < 3; s++) {
        for (int32_t i = 0; i < counts[s]; i++)
            text_format(&text, "w%d\tB-%03d\n", wide_word(s, i), wide_label(s, i));
        text_append_string(&text, "\n");
    }
    project_text(project, "train", "wide.conll", text.bytes);
    text_free(&text);
}

static void wide_check(const ShardStore *store, int32_t s, int32_t count, int32_t window_count)
{
    Diagnostic diagnostic = {0};
    ShardSequence sequence;
    must(shard_sequence_read(store, 0, s, scratch_arena(), &sequence, &diagnostic), &diagnostic);
    assert_int_equal(sequence.token_count, count);
    assert_int_equal(sequence.window_count, window_count);
    int32_t token = 0;
    for (int32_t w = 0; w < window_count; w++) {
        ShardWindow window;
        must(shard_window_read(store, 0, sequence.first_window + w, scratch_arena(), &window, &diagnostic), &diagnostic);
        assert_int_equal(window.sequence, s);
        for (int32_t i = 1; i + 1 < window.length; i++, token++) { /* a token a piece, and no overlap */
            assert_int_equal(window.ids[i], 5 + wide_word(s, token));
            assert_int_equal(window.labels[i], wide_label(s, token));
            assert_int_equal(window.token_index[i], token);
        }
        assert_int_equal(window.ids[0], 2);
        assert_int_equal(window.ids[window.length - 1], 3);
        assert_int_equal(window.labels[0], TOKEN_LABEL_IGNORED);
        assert_int_equal(window.token_index[window.length - 1], -1);
    }
    assert_int_equal(token, count);
    for (int32_t i = 0; i < count; i++) {
        char word[16];
        int size = snprintf(word, sizeof word, "w%d", wide_word(s, i));
        assert_int_equal(sequence.text_offsets[i + 1] - sequence.text_offsets[i], size);
        assert_memory_equal(sequence.text + sequence.text_offsets[i], word, size);
        assert_int_equal(sequence.gold[i], wide_label(s, i));
    }
}

static void numbers_of_any_width_are_read_back(void **state)
{
    static const uint32_t largest[] = {0, 255, 256, 65535, 65536, UINT32_MAX};
    static const uint8_t widths[] = {1, 1, 2, 2, 4, 4};
    for (size_t i = 0; i < sizeof widths; i++)
        assert_int_equal(shard_width(largest[i]), widths[i]);
    static const int32_t counts[] = {100, 400, WIDE_WORDS};
    static const int64_t lengths[] = {65536, 52}; /* the most that there may be, and few */
    for (int i = 0; i < 2; i++) {                 /* in windows as long as they may be, and in many */
        Project *project = project_new(*state, i ? "narrow-windows" : "wide-windows");
        wide_write(project, counts);
        project->build.options.max_seq_length = lengths[i];
        project->build.options.stride = 0;
        ShardStore *store = project_open(project);
        assert_int_equal(label_set_count(shard_store_labels(store)), WIDE_LABELS);
        for (int32_t s = 0; s < 3; s++)
            wide_check(store, s, counts[s], i ? counts[s] / 50 : s == 2 ? 2 : 1);
        shard_store_close(&store);
        project_free(&project);
    }
}

static void what_was_made_is_what_the_store_says_of_itself(void **state)
{
    Json *made = NULL, *said = NULL;
    Project *project = small_project(*state, "said");
    project->build.metadata = &made;
    for (int again = 0; again < 2; again++) {
        must(project_build(project), &project->diagnostic);
        assert_int_equal(project->summary.up_to_date, again);
        must(shard_store_describe(project->shards, &said, &project->diagnostic), &project->diagnostic);
        char *texts[] = {json_text(made, JSON_CANONICAL), json_text(said, JSON_CANONICAL)};
        assert_string_equal(texts[0], texts[1]);
        for (int i = 0; i < 2; i++)
            free(texts[i]);
        json_destroy(&made);
        json_destroy(&said);
    }
    project_free(&project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_back_is_what_the_corpus_says),
        cmocka_unit_test(building_again_does_nothing_until_something_changes),
        cmocka_unit_test(the_same_input_elsewhere_gives_the_same_identity_and_records),
        cmocka_unit_test(labels_that_only_dev_has_are_named_and_kept_apart),
        cmocka_unit_test(documents_are_joined_and_their_spans_are_not),
        cmocka_unit_test(several_files_feed_one_split_in_order),
        cmocka_unit_test(what_cannot_be_read_is_refused_with_its_place_and_leaves_nothing),
        cmocka_unit_test(files_and_options_that_do_not_fit_are_refused),
        cmocka_unit_test(a_vocabulary_of_another_kind_is_refused),
        cmocka_unit_test(casing_that_does_not_fit_the_vocabulary_is_refused),
        cmocka_unit_test(scheme_violations_are_warnings_and_errors_when_strict),
        cmocka_unit_test(tokens_without_pieces_keep_their_label_or_are_refused_with_their_line),
        cmocka_unit_test(numbers_of_any_width_are_read_back),
        cmocka_unit_test(what_was_made_is_what_the_store_says_of_itself),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
