#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/philox.h"
#include "core/io/file.h"
#include "core/io/hash.h"
#include "core/io/kv.h"
#include "shard/corpus.h"
#include "shard/shard_format.h"
#include "shard/shard_metadata.h"

#define SMALL_TRAIN "Ann\tB-PER\nran\tO\nto\tO\nOslo\tB-LOC\n\nEve\tB-PER\nLee\tI-PER\nsat\tO\n"
#define SMALL_DEV "Bob\tB-PER\nis\tO\n"

/* A build in the test's folder; paths and sources live as long as this. */
typedef struct Project {
    char *folder, *shards, *vocabulary;
    char *paths[4];
    ShardSource sources[4];
    ShardBuild build;
    ShardSummary summary;
    Diagnostic diagnostic;
} Project;

static Project *project_new(const char *scratch, const char *name)
{
    Project *project = memory_allocate(1, sizeof *project);
    project->folder = path_join(scratch, name);
    assert_int_equal(mkdir(project->folder, 0777), 0);
    project->shards = path_join(project->folder, "shards");
    project->vocabulary = vocabulary_write(project->folder, NULL);
    project->build = (ShardBuild){.sources = project->sources, .vocab_path = project->vocabulary, .options = data_options()};
    return project;
}

static void project_source(Project *project, const char *split, char *path)
{
    size_t at = project->build.source_count++;
    project->paths[at] = path;
    project->sources[at] = (ShardSource){.split = split, .path = path};
}

static void project_text(Project *project, const char *split, const char *file, const char *text)
{
    project_source(project, split, scratch_write(project->folder, file, text));
}

static Status project_build(Project *project)
{
    project->diagnostic = (Diagnostic){0};
    return shard_store_build(&project->build, project->shards, &project->summary, &project->diagnostic);
}

static ShardStore *project_open(Project *project)
{
    ShardStore *store = NULL;
    must(project_build(project), &project->diagnostic);
    must(shard_store_open(&store, project->shards, &project->diagnostic), &project->diagnostic);
    return store;
}

static void project_free(Project **project)
{
    for (size_t i = 0; i < (*project)->build.source_count; i++)
        free((*project)->paths[i]);
    free((*project)->folder);
    free((*project)->shards);
    free((*project)->vocabulary);
    free(*project);
    *project = NULL;
}

static Project *small_project(const char *scratch, const char *name)
{
    Project *project = project_new(scratch, name);
    project_text(project, "train", "train.conll", SMALL_TRAIN);
    project_text(project, "dev", "dev.conll", SMALL_DEV);
    return project;
}

static char *example(const char *name)
{
    return memory_format("%s/examples/%s", NERSWEEP_SOURCE_DIR, name);
}

/* Names in the folder of the shards, "" when it is not there. */
static char *listing(const Project *project)
{
    Text text = {0};
    StringArray names = {0};
    Diagnostic diagnostic = {0};
    text_append(&text, "", 0);
    if (path_exists(project->shards))
        must(folder_list(project->shards, &names, &diagnostic), &diagnostic);
    for (size_t i = 0; i < names.count; i++)
        text_format(&text, "%s%s", i ? " " : "", names.items[i]);
    string_array_free(&names);
    return text_take(&text);
}

static void holds_only(const Project *project, const char *expected)
{
    char *names = listing(project);
    assert_string_equal(names, expected);
    free(names);
}

/* Reads all of a store; *digest is one number for all that it says. */
static Status read_all(const char *folder, uint64_t *digest, Diagnostic *diagnostic)
{
    ShardStore *store = NULL;
    Text all = {0};
    Status status = shard_store_open(&store, folder, diagnostic);
    if (status != STATUS_OK)
        return status;
    text_format(&all, "%s %s %d %d", shard_store_identity(store), shard_store_vocab_sha256(store), (int)shard_store_scheme(store),
                (int)shard_store_words(store));
    for (int32_t split = 0; split < shard_split_count(store); split++) {
        text_append_string(&all, shard_split_name(store, split));
        text_append(&all, (const char *)shard_window_infos(store, split),
                    (size_t)shard_window_count(store, split) * sizeof(ShardWindowInfo));
        for (int64_t i = 0; i < shard_window_count(store, split); i++) {
            ShardWindow window;
            TRY(shard_window_read(store, split, i, &window, diagnostic));
            text_append(&all, (const char *)window.ids, 3 * sizeof(int32_t) * (size_t)window.length);
            text_format(&all, "%d %lld %d %d", window.length, (long long)window.sequence, window.owned_first, window.owned_end);
        }
        for (int64_t i = 0; i < shard_sequence_count(store, split); i++) {
            ShardSequence sequence;
            TRY(shard_sequence_read(store, split, i, &sequence, diagnostic));
            text_append(&all, (const char *)sequence.gold, sizeof(int32_t) * (size_t)sequence.token_count);
            text_append(&all, sequence.text, sequence.text_offsets[sequence.token_count]);
            text_format(&all, "%lld %d %lld", (long long)sequence.first_window, sequence.window_count, (long long)sequence.line);
        }
    }
    *digest = checksum64(all.bytes, all.size);
out:
    text_free(&all);
    shard_store_close(&store);
    return status;
}

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
        must(shard_window_read(store, split, w, &window, &diagnostic), &diagnostic);
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
        must(shard_sequence_read(store, split, index, &sequence, &diagnostic), &diagnostic);
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
    must(shard_sequence_read(store, 1, 0, &sequence, &project->diagnostic), &project->diagnostic);
    must(shard_window_read(store, 1, 0, &window, &project->diagnostic), &project->diagnostic);
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
    must(shard_sequence_read(store, 0, 0, &sequence, &project->diagnostic), &project->diagnostic);
    assert_int_equal(sequence.token_count, 4);
    assert_memory_equal(sequence.text, "inNewYorkis", 11);
    assert_string_equal(label_set_name(shard_store_all_labels(store), sequence.gold[1]), "I-LOC");
    assert_string_equal(label_set_name(shard_store_all_labels(store), sequence.gold[2]), "B-LOC"); /* begins a span of its own */
    must(shard_sequence_read(store, 0, 1, &sequence, &project->diagnostic), &project->diagnostic);
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
    must(shard_sequence_read(store, 0, 1, &sequence, &project->diagnostic), &project->diagnostic);
    assert_memory_equal(sequence.text, "b", 1);
    shard_store_close(&store);
    project_free(&project);
}

/* Builds and asserts the failure; nothing may be left. */
static void refuses(Project *project, Status expected, const char *part)
{
    assert_int_equal(project_build(project), expected);
    must_contain(project->diagnostic.message, part);
    holds_only(project, "");
    assert_false(path_exists(project->shards));
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

static volatile int stop;

static void stop_soon(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
    (void)context;
    stop = bytes_done * 4 > bytes_total * 3; /* in the second pass */
}

static void an_interrupted_build_leaves_what_was_there(void **state)
{
    Project *project = project_new(*state, "interrupted");
    project_source(project, "train", example("train.conll"));
    project->build.interrupted = &stop;
    project->build.progress = stop_soon;
    stop = 0;
    refuses(project, STATUS_INTERRUPTED, "interrupted");
    stop = 0;
    project->build.progress = NULL;
    must(project_build(project), &project->diagnostic);
    uint64_t before, after;
    must(read_all(project->shards, &before, &project->diagnostic), &project->diagnostic);
    project->build.options.stride = 3;
    project->build.progress = stop_soon;
    assert_int_equal(project_build(project), STATUS_INTERRUPTED);
    stop = 0;
    holds_only(project, "shards.mdb");
    must(read_all(project->shards, &after, &project->diagnostic), &project->diagnostic);
    assert_int_equal(before, after);
    project_free(&project);
}

/* Runs this program again as a builder of the small project's files with a fault set; returns its wait status. */
static int build_elsewhere(const Project *project, const char *fault)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("NERSWEEP_FAULT", fault, 1);
        execl("/proc/self/exe", "builder", "build", project->paths[0], project->vocabulary, project->shards, (char *)NULL);
        _exit(99);
    }
    int result;
    while (waitpid(child, &result, 0) < 0)
        assert_int_equal(errno, EINTR);
    return result;
}

static int builder_main(char **arguments)
{
    ShardSource source = {.split = "train", .path = arguments[0]};
    ShardBuild build = {.sources = &source, .source_count = 1, .vocab_path = arguments[1], .options = data_options()};
    build.options.stride = 7;
    Diagnostic diagnostic = {0};
    Status status = shard_store_build(&build, arguments[2], NULL, &diagnostic);
    if (status == STATUS_NO_SPACE && !strstr(diagnostic.message, "free some space"))
        return 98;
    return (int)status;
}

static void a_full_disk_is_said_and_the_old_shards_stay(void **state)
{
    Project *project = project_new(*state, "full");
    project_source(project, "train", example("train.conll"));
    int result = build_elsewhere(project, "shard.write:3:fail");
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), STATUS_NO_SPACE);
    holds_only(project, "");
    must(project_build(project), &project->diagnostic);
    uint64_t before, after;
    must(read_all(project->shards, &before, &project->diagnostic), &project->diagnostic);
    result = build_elsewhere(project, "shard.write:500:fail");
    assert_int_equal(WEXITSTATUS(result), STATUS_NO_SPACE);
    holds_only(project, "shards.mdb");
    must(read_all(project->shards, &after, &project->diagnostic), &project->diagnostic);
    assert_int_equal(before, after);
    project_free(&project);
}

static void what_a_killed_build_leaves_is_removed_by_the_next(void **state)
{
    static const char *const faults[] = {"shard.write:1:kill", "shard.write:500:kill", "shard.before_rename:1:kill"};
    Project *project = project_new(*state, "killed");
    project_source(project, "train", example("train.conll"));
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        int result = build_elsewhere(project, faults[i]);
        assert_true(WIFSIGNALED(result));
        char *names = listing(project);
        must_contain(names, "shards.mdb.tmp-");
        free(names);
        ShardStore *store = NULL;
        assert_int_equal(shard_store_open(&store, project->shards, &project->diagnostic), STATUS_NOT_FOUND);
        must_contain(project->diagnostic.message, "nersweep shard");
    }
    log_capture(project->folder);
    must(project_build(project), &project->diagnostic);
    free(log_captured(project->folder));
    holds_only(project, "shards.mdb");
    project_free(&project);
}

/* The bytes of the small project's store. */
static char *store_bytes(Project *project, size_t *size)
{
    char *path = path_join(project->shards, SHARD_FILE_NAME), *bytes;
    must(project_build(project), &project->diagnostic);
    must(file_read(path, 1 << 26, &bytes, size, &project->diagnostic), &project->diagnostic);
    free(path);
    return bytes;
}

static void a_truncated_store_is_corrupt(void **state)
{
    Project *project = small_project(*state, "truncated");
    size_t size;
    uint64_t digest;
    char *bytes = store_bytes(project, &size);
    for (size_t kept = 0; kept < size; kept += kept < 8192 ? 1021 : 4096) {
        free(scratch_write_bytes(project->shards, SHARD_FILE_NAME, bytes, kept));
        assert_int_equal(read_all(project->shards, &digest, &project->diagnostic), STATUS_CORRUPT);
        must_contain(project->diagnostic.message, SHARD_FILE_NAME);
    }
    free(scratch_write(project->shards, SHARD_FILE_NAME, "this is no database, though it is long enough to be looked at\n"));
    assert_int_equal(read_all(project->shards, &digest, &project->diagnostic), STATUS_CORRUPT);
    log_capture(project->folder);
    must(project_build(project), &project->diagnostic); /* made again */
    char *log = log_captured(project->folder);
    must_contain(log, "is made again");
    free(log);
    assert_false(project->summary.up_to_date);
    must(read_all(project->shards, &digest, &project->diagnostic), &project->diagnostic);
    free(bytes);
    project_free(&project);
}

static void no_flipped_bit_goes_unseen_or_crashes(void **state)
{
    Project *project = small_project(*state, "flipped");
    size_t size;
    uint64_t original, digest;
    char *bytes = store_bytes(project, &size);
    must(read_all(project->shards, &original, &project->diagnostic), &project->diagnostic);
    int refused = 0;
    PhiloxKey key = philox_key(3, RANDOM_INIT, 0);
    for (uint32_t i = 0; i < 3000; i++) {
        PhiloxBlock random = philox4x32_10(key, i, 0, 0, 0);
        size_t at = random.word[0] % size;
        char flip = (char)(1 << random.word[1] % 8);
        bytes[at] ^= flip;
        free(scratch_write_bytes(project->shards, SHARD_FILE_NAME, bytes, size));
        Diagnostic diagnostic = {0};
        Status status = read_all(project->shards, &digest, &diagnostic);
        if (status == STATUS_OK)
            assert_int_equal(digest, original); /* a byte that nobody reads */
        else
            assert_true(status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
        refused += status != STATUS_OK;
        bytes[at] ^= flip;
    }
    assert_true(refused > 100);
    free(bytes);
    project_free(&project);
}

/* Puts a value (with a right checksum) into the store, as somebody who wants it to be believed would. */
static void forge(const Project *project, const char *table_name, KvBytes key, const void *content, size_t size)
{
    Diagnostic diagnostic = {0};
    KvEnvironment *environment = NULL;
    KvTransaction *transaction = NULL;
    KvTable table;
    Text record = {0};
    char *path = path_join(project->shards, SHARD_FILE_NAME), *lock = memory_format("%s-lock", path);
    shard_record_begin(&record);
    shard_record_append(&record, content, size);
    shard_record_finish(&record);
    must(kv_open(&environment, path, (KvOptions){.map_size_bytes = 1 << 26}, &diagnostic), &diagnostic);
    must(kv_begin(&transaction, environment, false, &diagnostic), &diagnostic);
    must(kv_table(transaction, table_name, false, &table, &diagnostic), &diagnostic);
    must(kv_put(transaction, table, key, (KvBytes){record.bytes, record.size}, &diagnostic), &diagnostic);
    must(kv_commit(&transaction, &diagnostic), &diagnostic);
    kv_close(&environment);
    unlink(lock);
    free(path);
    free(lock);
    text_free(&record);
}

static void is_corrupt(Project *project, const char *part)
{
    uint64_t digest;
    assert_int_equal(read_all(project->shards, &digest, &project->diagnostic), STATUS_CORRUPT);
    must_contain(project->diagnostic.message, part);
    must_contain(project->diagnostic.message, SHARD_FILE_NAME);
}

static void metadata_that_lies_or_is_garbage_is_corrupt(void **state)
{
    static const char *const garbage[] = {"not json", "[]", "{}", "{\"format\": \"nersweep shards\", \"version\": 2}      "};
    Project *project = small_project(*state, "metadata");
    size_t size;
    char *bytes = store_bytes(project, &size);
    KvBytes key = {"metadata", 8};
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        forge(project, SHARD_TABLE_METADATA, key, garbage[i], strlen(garbage[i]) / 8 * 8);
        is_corrupt(project, "metadata");
    }
    const char *future = "{\"format\": \"nersweep shards\", \"version\": 3}     ";
    uint64_t digest;
    forge(project, SHARD_TABLE_METADATA, key, future, strlen(future) / 8 * 8);
    assert_int_equal(read_all(project->shards, &digest, &project->diagnostic), STATUS_UNSUPPORTED);
    must_contain(project->diagnostic.message, "format 3");
    free(bytes);
    project_free(&project);
}

/* The metadata record of the store, changed by replacing the last place of one text with another, its identity made right again. */
static void forge_metadata(Project *project, const char *from, const char *to)
{
    Diagnostic diagnostic = {0};
    KvEnvironment *environment = NULL;
    KvTransaction *transaction = NULL;
    KvTable table;
    KvBytes value;
    Json *json = NULL;
    char *path = path_join(project->shards, SHARD_FILE_NAME);
    must(kv_open(&environment, path, (KvOptions){.read_only = true}, &diagnostic), &diagnostic);
    must(kv_begin(&transaction, environment, true, &diagnostic), &diagnostic);
    must(kv_table(transaction, SHARD_TABLE_METADATA, false, &table, &diagnostic), &diagnostic);
    must(kv_get(transaction, table, (KvBytes){"metadata", 8}, &value, &diagnostic), &diagnostic);
    char *text = memory_copy_bytes((const char *)value.bytes + 8, value.size - 8), *at = strstr(text, from);
    assert_non_null(at);
    for (char *next = at; next; next = strstr(next + 1, from))
        at = next; /* the last one: of the splits, not of their inputs */
    char *changed = memory_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    kv_abort(&transaction);
    kv_close(&environment);
    must(json_parse(&json, changed, strlen(changed), "forged", &diagnostic), &diagnostic);
    char identity[SHA256_HEX_SIZE];
    shard_metadata_identity(json, identity);
    json_set(json, "identity", json_string(identity));
    char *forged = json_text(json, JSON_CANONICAL);
    Text padded = {0};
    text_append_string(&padded, forged);
    while (padded.size % 8)
        text_append(&padded, " ", 1);
    forge(project, SHARD_TABLE_METADATA, (KvBytes){"metadata", 8}, padded.bytes, padded.size);
    text_free(&padded);
    json_destroy(&json);
    free(forged);
    free(changed);
    free(text);
    free(path);
}

static void counts_that_lie_are_corrupt(void **state)
{
    static const char *const lies[][3] = {
        {"\"windows\":2", "\"windows\":3", "fewer records"},
        {"\"windows\":2", "\"windows\":4611686018427387000", "fewer records"},
        {"\"windows\":2", "\"windows\":1", "more records"},
        {"\"sequences\":2", "\"sequences\":1", "more records"},
        {"\"sequences\":2", "\"sequences\":-1", "sequences"},
        {"\"max_seq_length\":512", "\"max_seq_length\":8", "out of range"},
        {"\"labels\":[\"B-LOC\",", "\"labels\":[", "all_labels"},
        {"\"vocab_size\":193", "\"vocab_size\":4", "out of range"},
        {"\"scheme\":\"IOB2\"", "\"scheme\":\"IOBX\"", "scheme"},
    };
    Project *project = small_project(*state, "lies");
    size_t size;
    char *bytes = store_bytes(project, &size);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        free(scratch_write_bytes(project->shards, SHARD_FILE_NAME, bytes, size));
        forge_metadata(project, lies[i][0], lies[i][1]);
        is_corrupt(project, lies[i][2]);
    }
    free(bytes);
    project_free(&project);
}

static void records_with_right_checksums_and_wrong_contents_are_corrupt(void **state)
{
    Project *project = small_project(*state, "records");
    size_t size;
    char *bytes = store_bytes(project, &size);
    unsigned char key[SHARD_KEY_SIZE];
    shard_key(key, 0, 0);
    KvBytes first = {key, sizeof key};
    ShardWindowHeader window = {.length = INT32_MAX, .owned_first = 1, .owned_end = 2, .weight = 1};
    forge(project, SHARD_TABLE_WINDOWS, first, &window, sizeof window);
    is_corrupt(project, "another size");
    window.length = -5;
    forge(project, SHARD_TABLE_WINDOWS, first, &window, sizeof window);
    is_corrupt(project, "another size");
    forge(project, SHARD_TABLE_WINDOWS, first, &window, 8);
    is_corrupt(project, "too short");
    free(scratch_write_bytes(project->shards, SHARD_FILE_NAME, bytes, size));
    ShardSequenceHeader sequence = {.token_count = INT32_MAX, .text_size = UINT32_MAX};
    forge(project, SHARD_TABLE_SEQUENCES, first, &sequence, sizeof sequence);
    is_corrupt(project, "number of tokens");
    struct {
        ShardSequenceHeader header;
        int32_t gold;
        uint32_t offsets[2];
        char text[4];
    } one = {.header = {.window_count = 1, .token_count = 1, .text_size = 4}, .gold = 100, .offsets = {0, 4}, .text = "text"};
    forge(project, SHARD_TABLE_SEQUENCES, first, &one, sizeof one);
    is_corrupt(project, "labels, offsets or windows");
    one.gold = 0;
    one.offsets[1] = 400;
    forge(project, SHARD_TABLE_SEQUENCES, first, &one, sizeof one);
    is_corrupt(project, "labels, offsets or windows");
    one.offsets[1] = 4;
    one.header.first_window = INT64_MAX;
    forge(project, SHARD_TABLE_SEQUENCES, first, &one, sizeof one);
    is_corrupt(project, "labels, offsets or windows");
    free(scratch_write_bytes(project->shards, SHARD_FILE_NAME, bytes, size));
    ShardWindowInfo infos[2] = {{.length = 4, .label_count = 3, .weight = 1}, {.length = 4, .label_count = 2, .weight = 1}};
    forge(project, SHARD_TABLE_INFOS, first, infos, sizeof infos);
    is_corrupt(project, "out of range");
    forge(project, SHARD_TABLE_INFOS, first, infos + 1, sizeof *infos);
    is_corrupt(project, "another length");
    free(bytes);
    project_free(&project);
}

/* The most memory that a builder of its own process holds for `copies` of the example corpus, in KiB. */
static long build_memory_kib(const char *scratch, int copies)
{
    Project *project = project_new(scratch, copies > 1 ? "long" : "short");
    Text text = {0};
    size_t size;
    char *path = example("train.conll"), *bytes;
    must(file_read(path, 1 << 20, &bytes, &size, &project->diagnostic), &project->diagnostic);
    for (int i = 0; i < copies; i++) {
        text_append(&text, bytes, size);
        text_append(&text, "\n", 1);
    }
    project_source(project, "train", scratch_write_bytes(project->folder, "train.conll", text.bytes, text.size));
    free(bytes);
    free(path);
    text_free(&text);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "builder", "build", project->paths[0], project->vocabulary, project->shards, (char *)NULL);
        _exit(99);
    }
    struct rusage usage;
    int result;
    assert_int_equal(wait4(child, &result, 0, &usage), child);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    project_free(&project);
    return usage.ru_maxrss;
}

static void memory_does_not_grow_with_the_corpus(void **state)
{
    long small = build_memory_kib(*state, 1), large = build_memory_kib(*state, 60);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    assert_true(small > 0 && large > 0); /* these keep what was freed */
#else
    assert_true(large - small <
                12 * 1024); /* the shards are 30 MB; a transaction is 4 MiB, its tree and the reader's buffers come on top */
#endif
}

static void two_builders_at_once_make_one_store(void **state)
{
    Project *project = project_new(*state, "both");
    project_source(project, "train", example("train.conll"));
    pid_t children[3];
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            char *arguments[] = {project->paths[0], project->vocabulary, project->shards};
            _exit(builder_main(arguments));
        }
    }
    for (int i = 0; i < 3; i++) {
        int result;
        assert_int_equal(waitpid(children[i], &result, 0), children[i]);
        assert_true(WIFEXITED(result));
        assert_int_equal(WEXITSTATUS(result), 0);
    }
    uint64_t digest;
    must(read_all(project->shards, &digest, &project->diagnostic), &project->diagnostic);
    holds_only(project, "shards.mdb");
    project_free(&project);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "build") == 0)
        return builder_main(argv + 2);
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
        cmocka_unit_test(an_interrupted_build_leaves_what_was_there),
        cmocka_unit_test(a_full_disk_is_said_and_the_old_shards_stay),
        cmocka_unit_test(what_a_killed_build_leaves_is_removed_by_the_next),
        cmocka_unit_test(a_truncated_store_is_corrupt),
        cmocka_unit_test(no_flipped_bit_goes_unseen_or_crashes),
        cmocka_unit_test(metadata_that_lies_or_is_garbage_is_corrupt),
        cmocka_unit_test(counts_that_lie_are_corrupt),
        cmocka_unit_test(records_with_right_checksums_and_wrong_contents_are_corrupt),
        cmocka_unit_test(memory_does_not_grow_with_the_corpus),
        cmocka_unit_test(two_builders_at_once_make_one_store),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
