/* Corpora in the wild: counts that their sources state, and shards of them with the vocabularies that people use. Where they are not at
 * hand the example corpus stands in. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "core/spans/labels.h"
#include "shard/corpus.h"
#include "shard/stats.h"

typedef struct Expected {
    const char *path;
    int64_t sentences, tokens, spans, documents;
} Expected;

static const Expected examples[] = {
    {"train.conll", 284, 5754, 636, 1},
    {"dev.conll", 73, 1383, 139, 1},
    {"test.conll", 77, 1409, 140, 1},
};

/* As the SOURCE.md of each states. */
static const Expected corpora[] = {
    {"wnut17/train.conll", 3394, 62730, 1975, 1},    {"wnut17/dev.conll", 1009, 15733, 836, 1},
    {"wnut17/test.conll", 1287, 23394, 1079, 1},     {"ncbi-disease/train.conll", 5432, 136086, 5145, 1},
    {"ncbi-disease/dev.conll", 923, 23969, 787, 1},  {"ncbi-disease/test.conll", 940, 24497, 960, 1},
    {"litbank/train.conll", 6829, 168441, 9465, 80}, {"litbank/dev.conll", 789, 20310, 1201, 10},
    {"litbank/test.conll", 944, 21781, 1103, 10},
};

static void check_counts(const char *root, const Expected *expected)
{
    Diagnostic diagnostic = {0};
    CorpusReader *reader = NULL;
    const CorpusSentence *sentence;
    int64_t sentences = 0, tokens = 0, documents = 0;
    char *path = path_join(root, expected->path);
    must(corpus_reader_open(&reader, path, (CorpusOptions){0}, NULL, NULL, &diagnostic), &diagnostic);
    for (;; sentences++) {
        must(corpus_reader_next(reader, &sentence, &diagnostic), &diagnostic);
        if (!sentence)
            break;
        tokens += sentence->token_count;
        documents += sentence->document_start;
    }
    corpus_reader_close(&reader);
    CorpusStats *stats = NULL;
    must(corpus_stats_create(&stats, path, &(CorpusStatsOptions){0}, &diagnostic), &diagnostic);
    Json *json = corpus_stats_json(stats);
    assert_int_equal(sentences, expected->sentences);
    assert_int_equal(tokens, expected->tokens);
    assert_int_equal(documents, expected->documents);
    assert_int_equal(json_integer_value(json_get(json, "spans"), -1), expected->spans);
    assert_string_equal(json_string_value(json_get(json, "scheme")), "IOB2");
    json_destroy(&json);
    corpus_stats_destroy(&stats);
    free(path);
}

static void counts_are_those_that_the_source_states(void **state)
{
    (void)state;
    char *root = path_join(NERSWEEP_SOURCE_DIR, "examples"), *shared = shared_data();
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        check_counts(root, &examples[i]);
    for (size_t i = 0; shared && i < sizeof corpora / sizeof *corpora; i++)
        check_counts(shared, &corpora[i]);
    free(root);
    free(shared);
}

static Status build_corpus(const char *root, const char *vocabulary, bool lowercase, const char *out, ShardUnit unit,
                           ShardSummary *summary, Diagnostic *diagnostic)
{
    static const char *const splits[] = {"train", "dev", "test"};
    char *paths[3];
    ShardSource sources[3];
    for (int i = 0; i < 3; i++) {
        paths[i] = memory_format("%s/%s.conll", root, splits[i]);
        sources[i] = (ShardSource){.split = splits[i], .path = paths[i]};
    }
    ShardBuild build = {
        .sources = sources, .source_count = 3, .vocab_path = vocabulary, .lowercase = lowercase, .options = data_options()};
    build.options.unit = unit;
    Status status = shard_store_build(&build, out, summary, diagnostic);
    for (int i = 0; i < 3; i++)
        free(paths[i]);
    return status;
}

/* Every token of a split is labelled once, in the window where it counts; returns how many windows it has. */
static int64_t check_labels(const ShardStore *store, int32_t split)
{
    Diagnostic diagnostic = {0};
    int64_t tokens = 0, labelled = 0;
    for (int64_t i = 0; i < shard_sequence_count(store, split); i++) {
        ShardSequence sequence;
        must(shard_sequence_read(store, split, i, scratch_arena(), &sequence, &diagnostic), &diagnostic);
        tokens += sequence.token_count;
        for (int32_t t = 0; t < sequence.token_count; t++)
            tokens -=
                sequence.gold[t] >= label_set_count(shard_store_labels(store)); /* labels that training lacks are not learnt */
    }
    for (int64_t i = 0; i < shard_window_count(store, split); i++) {
        ShardWindow window;
        must(shard_window_read(store, split, i, scratch_arena(), &window, &diagnostic), &diagnostic);
        labelled += shard_window_infos(store, split)[i].label_count;
    }
    assert_int_equal(labelled, tokens);
    return shard_window_count(store, split);
}

static void shards_of_a_corpus_label_every_token_once(void **state)
{
    Diagnostic diagnostic = {0};
    ShardSummary summary;
    ShardStore *store = NULL;
    char *shared = shared_data(), *out = path_join(*state, "shards"), *root, *vocabulary;
    root = shared ? path_join(shared, "wnut17") : path_join(NERSWEEP_SOURCE_DIR, "examples");
    vocabulary = shared ? path_join(shared, "vocab/bert-base-uncased.txt") : vocabulary_write(*state, NULL);
    must(build_corpus(root, vocabulary, shared != NULL, out, UNIT_SENTENCE, &summary, &diagnostic), &diagnostic);
    must(shard_store_open(&store, out, &diagnostic), &diagnostic);
    for (int32_t split = 0; split < 3; split++)
        check_labels(store, split);
    if (shared) {
        assert_int_equal(summary.zero_piece_tokens, 7); /* U+FE0F alone: 4 in dev, 3 in test */
        assert_int_equal(summary.sentences, 3394 + 1009 + 1287);
        assert_int_equal(label_set_count(shard_store_labels(store)), 13);
        assert_true(summary.unk_pieces * 10 < summary.pieces);
    }
    shard_store_close(&store);
    free(out);
    free(root);
    free(vocabulary);
    free(shared);
}

static void documents_are_cut_into_windows(void **state)
{
    Diagnostic diagnostic = {0};
    ShardSummary summary;
    ShardStore *store = NULL;
    char *shared = shared_data(), *out = path_join(*state, "documents"), *root, *vocabulary;
    root = shared ? path_join(shared, "litbank") : path_join(NERSWEEP_SOURCE_DIR, "examples");
    vocabulary = shared ? path_join(shared, "vocab/bert-base-cased.txt") : vocabulary_write(*state, NULL);
    must(build_corpus(root, vocabulary, false, out, UNIT_DOCUMENT, &summary, &diagnostic), &diagnostic);
    must(shard_store_open(&store, out, &diagnostic), &diagnostic);
    for (int32_t split = 0; split < 3; split++) {
        int64_t sequences = shared ? split ? 10 : 80 : 1;
        assert_int_equal(shard_sequence_count(store, split), sequences);
        assert_true(check_labels(store, split) >= 3 * sequences); /* every book is over 1,000 pieces */
    }
    shard_store_close(&store);
    free(out);
    free(root);
    free(vocabulary);
    free(shared);
}

static void a_vocabulary_with_the_wrong_casing_is_refused(void **state)
{
    Diagnostic diagnostic = {0};
    ShardSummary summary;
    char *shared = shared_data(), *out = path_join(*state, "casing");
    for (int lowercase = 0; shared && lowercase < 2; lowercase++) {
        static const char *const corpus_names[] = {"wnut17", "ncbi-disease", "litbank"};
        char *wrong = path_join(shared, lowercase ? "vocab/bert-base-cased.txt" : "vocab/bert-base-uncased.txt");
        for (int i = 0; i < 3; i++) {
            char *root = path_join(shared, corpus_names[i]);
            assert_int_equal(build_corpus(root, wrong, lowercase, out, UNIT_SENTENCE, &summary, &diagnostic), STATUS_MISMATCH);
            must_contain(diagnostic.message, lowercase ? "is cased" : "is uncased");
            free(root);
        }
        free(wrong);
    }
    assert_false(path_exists(out));
    free(shared);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_those_that_the_source_states),
        cmocka_unit_test(shards_of_a_corpus_label_every_token_once),
        cmocka_unit_test(documents_are_cut_into_windows),
        cmocka_unit_test(a_vocabulary_with_the_wrong_casing_is_refused),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
