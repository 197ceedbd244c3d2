/* Shards made again with other files, and made of pseudo-labels and weak labels. */
#include "work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"
#include "shard/shard_format.h"

static void an_added_file_is_all_that_is_read_and_the_result_is_as_if_made_at_once(void **state)
{
    Work *work = work_new(*state);
    work_add_sentences(work, "train", "a.conll", 1, 700);
    work_add_sentences(work, "dev", "dev.conll", 3, 200);
    must(work_build(work, "grown"), &work->diagnostic);
    assert_int_equal(work->summary.reused_sentences, 0);
    work_add_sentences(work, "train", "b.conll", 2, 100); /* behind a.conll, before dev.conll */
    must(work_build(work, "grown"), &work->diagnostic);
    assert_int_equal(work->summary.reused_sentences, 900);
    assert_int_equal(work->summary.sentences, 1000);
    must(work_build(work, "at-once"), &work->diagnostic);
    assert_int_equal(work->summary.reused_sentences, 0);
    assert_int_equal(records_of(work, "grown"), records_of(work, "at-once"));
    work_free(work);
}

static void files_may_come_go_and_change_places(void **state)
{
    Work *work = work_new(*state);
    work_add_sentences(work, "train", "a.conll", 1, 300);
    work_add_sentences(work, "train", "b.conll", 2, 200);
    work_add_sentences(work, "dev", "dev.conll", 3, 100);
    must(work_build(work, "moved"), &work->diagnostic);
    ShardSource first = work->sources[0];
    work->sources[0] = work->sources[1];
    work->sources[1] = first;
    must(work_build(work, "moved"), &work->diagnostic);
    assert_int_equal(work->summary.reused_sentences, 600);
    must(work_build(work, "straight"), &work->diagnostic);
    assert_int_equal(records_of(work, "moved"), records_of(work, "straight"));
    work->sources[1] = work->sources[2]; /* a.conll goes */
    work->build.source_count = 2;
    must(work_build(work, "moved"), &work->diagnostic);
    assert_int_equal(work->summary.reused_sentences, 300);
    must(work_build(work, "fewer"), &work->diagnostic);
    assert_int_equal(records_of(work, "moved"), records_of(work, "fewer"));
    work->build.source_count = 3;
    work_free(work);
}

/* Adds a file to shards that are there; all is made again, and the log says why. */
static void all_is_made_again(void **state, const char *folder, const char *before, const char *added, const char *why)
{
    char *scratch = path_join(*state, folder);
    must(folder_create(file_system_posix(), scratch, NULL), NULL);
    Work *work = work_new(scratch);
    work_add(work, "train", SHARD_GOLD, "a.conll", before);
    must(work_build(work, "shards"), &work->diagnostic);
    work_add(work, "train", SHARD_GOLD, "more.conll", added);
    log_capture(scratch);
    must(work_build(work, "shards"), &work->diagnostic);
    char *log = log_captured(scratch);
    must_contain(log, why);
    free(log);
    assert_int_equal(work->summary.reused_sentences, 0);
    must(work_build(work, "at-once"), &work->diagnostic);
    assert_int_equal(records_of(work, "shards"), records_of(work, "at-once"));
    work_free(work);
    free(scratch);
}

static void what_changes_labels_scheme_or_words_makes_everything_again_and_says_why(void **state)
{
    Text text = {0};
    char *before = sentences(1, 60);
    all_is_made_again(state, "labels", before, "Oslo\tB-LOC\n", "the labels differ from before");
    all_is_made_again(state, "scheme", "the\tO\nAnn\tI-PER\nEve\tB-PER\n", "the\tO\nAnn\tB-PER\n",
                      "the label scheme differs from before");
    for (int i = 0; i < 3000; i++)
        text_append_string(&text, "U\tO\n.\tO\nS\tO\n.\tO\ncan\tO\n-\tO\ndo\tO\n\n"); /* words as BERT makes them */
    all_is_made_again(state, "words", before, text.bytes, "the rule for words differs from before");
    free(before);
    text_free(&text);
}

static void damaged_shards_are_made_again(void **state)
{
    Work *work = work_new(*state);
    work_add_sentences(work, "train", "a.conll", 1, 400);
    must(work_build(work, "damaged"), &work->diagnostic);
    char *path = memory_format("%s/damaged/%s", work->folder, SHARD_FILE_NAME), *bytes;
    size_t size;
    must(file_read(path, 1 << 26, &bytes, &size, &work->diagnostic), &work->diagnostic);
    for (size_t i = 0; i + 6 < size; i++) /* in the tokens of sequences, which nothing but the checksum guards */
        if (memcmp(bytes + i, "river", 5) == 0)
            bytes[i] = 'R';
    char *folder = path_join(work->folder, "damaged");
    free(scratch_write_bytes(folder, SHARD_FILE_NAME, bytes, size));
    work_add_sentences(work, "train", "b.conll", 2, 20);
    log_capture(work->folder);
    must(work_build(work, "damaged"), &work->diagnostic);
    char *log = log_captured(work->folder);
    must_contain(log, "the old ones are damaged");
    free(log);
    assert_int_equal(work->summary.reused_sentences, 0);
    must(work_build(work, "whole"), &work->diagnostic);
    assert_int_equal(records_of(work, "damaged"), records_of(work, "whole"));
    free(folder);
    free(bytes);
    free(path);
    work_free(work);
}

#define GOLD "Ann\tB-PER\nsat\tO\n\nin\tO\nOslo\tB-LOC\n"

static void is_near(float value, double expected)
{
    assert_true(fabs((double)value - expected) < 1e-6);
}

static void pseudo_labels_are_training_sentences_with_weights(void **state)
{
    Work *work = work_new(*state);
    work_add(work, "train", SHARD_GOLD, "gold.conll", GOLD);
    work_add(work, "train", SHARD_PSEUDO, "weighted.conll", "Eve\tB-PER\t0.5\nran\tO\t0.5\n\nto\tO\t1\n\nBergen\tB-LOC\t2.5e-1\n");
    work_add(work, "train", SHARD_PSEUDO, "plain.conll", "Bob\tB-PER\n");
    work_add(work, "dev", SHARD_GOLD, "dev.conll", "Tom\tB-PER\n");
    work->build.options.pseudo_weight = 0.4;
    ShardStore *store = work_open(work, "shards");
    static const double weights[] = {1, 1, 0.2, 0.4, 0.1, 0.4};
    assert_int_equal(shard_window_count(store, 0), 6);
    for (int64_t i = 0; i < 6; i++) {
        ShardWindow window;
        must(shard_window_read(store, 0, i, scratch_arena(), &window, &work->diagnostic), &work->diagnostic);
        is_near(window.weight, weights[i]);
        is_near(shard_window_infos(store, 0)[i].weight, weights[i]);
    }
    is_near(shard_window_infos(store, 1)[0].weight, 1);
    assert_int_equal(work->summary.pseudo_sentences, 4);
    assert_int_equal(work->summary.sentences, 7);
    char *identity = memory_copy_string(shard_store_identity(store)), *folder = path_join(work->folder, "shards");
    shard_store_close(&store);
    Json *metadata = NULL;
    must(shard_store_describe(folder, &metadata, &work->diagnostic), &work->diagnostic);
    const Json *train = json_at(json_get(metadata, "splits"), 0);
    assert_int_equal(json_integer_value(json_get(train, "sentences"), 0), 6);
    assert_int_equal(json_integer_value(json_get(json_get(train, "pseudo"), "sentences"), 0), 4);
    assert_int_equal(json_integer_value(json_get(json_get(train, "pseudo"), "tokens"), 0), 5);
    json_destroy(&metadata);
    work->build.options.pseudo_weight = 0.2; /* only what it weighs is made again */
    store = work_open(work, "shards");
    assert_int_equal(work->summary.reused_sentences, 3);
    assert_string_not_equal(shard_store_identity(store), identity);
    is_near(shard_window_infos(store, 0)[5].weight, 0.2);
    shard_store_close(&store);
    free(identity);
    free(folder);
    work_free(work);
}

static void a_document_weighs_what_its_tokens_weigh_on_average(void **state)
{
    Work *work = work_new(*state);
    work_add(work, "train", SHARD_GOLD, "gold.conll", GOLD);
    work_add(work, "train", SHARD_PSEUDO, "weighted.conll", "Eve\tB-PER\t0.5\nran\tO\t0.5\nto\tO\t0.5\n\nBergen\tB-LOC\t1\n");
    work->build.options.unit = UNIT_DOCUMENT;
    ShardStore *store = work_open(work, "documents");
    is_near(shard_window_infos(store, 0)[1].weight, 0.625);
    shard_store_close(&store);
    work_free(work);
}

static void refuses(void **state, const char *name, ShardSourceKind kind, const char *split, const char *text, Status expected,
                    long line, long column, const char *part)
{
    Work *work = work_new(*state);
    work_add(work, "train", SHARD_GOLD, "gold.conll", GOLD);
    work_add(work, split, kind, name, text);
    if (kind == SHARD_WEAK)
        work_add(work, split, kind, "weak-first.conll", "");
    assert_int_equal(work_build(work, "refused"), expected);
    must_contain(work->diagnostic.message, part);
    assert_int_equal(work->diagnostic.input_line, line);
    assert_int_equal(work->diagnostic.input_column, column);
    work_free(work);
}

static void wrong_weights_are_refused_with_their_place(void **state)
{
    /* The column is one of weights by what the first 4 MiB say; a bad one comes after them. */
    Text text = {0};
    while (text.size < (5 << 20))
        text_append_string(&text, "the\tO\t0.75\nbank\tO\t0.75\n\n");
    size_t size = text.size;
    long lines = (long)(size / strlen("the\tO\t0.75\nbank\tO\t0.75\n\n")) * 3;
    text_append_string(&text, "x\tO\tmuch\n");
    refuses(state, "bad.conll", SHARD_PSEUDO, "train", text.bytes, STATUS_INVALID_INPUT, lines + 1, 5, "the weight is \"much\"");
    text.size = size;
    text_append_string(&text, "x\tO\t0.5\ny\tO\t0.25\n");
    refuses(state, "bad.conll", SHARD_PSEUDO, "train", text.bytes, STATUS_INVALID_INPUT, lines + 2, 5, "a sentence has one weight");
    text_free(&text);
    refuses(state, "bad.conll", SHARD_PSEUDO, "train", "x\tO\t1.5\n", STATUS_INVALID_INPUT, 1, 5, "\"1.5\" is no label");
    refuses(state, "bad.conll", SHARD_PSEUDO, "dev", "x\tO\t1\n", STATUS_USAGE, 0, 0, "pseudo labels are for training only");
}

/* Three sources; a label of NULL is none. */
static void votes_are(void **state, WeakVote vote, size_t source_count, const char *const (*sources)[2],
                      const char *const *expected, int32_t token_count)
{
    Work *work = work_new(*state);
    work_add(work, "train", SHARD_GOLD, "gold.conll", "a\tB-X\nb\tI-X\nc\tB-Y\nd\tI-Y\ne\tO\n");
    for (size_t i = 0; i < source_count; i++)
        work_add(work, "train", SHARD_WEAK, sources[i][0], sources[i][1]);
    work->build.options.weak_vote = vote;
    work->build.options.weak_weight = 0.5;
    ShardStore *store = work_open(work, "voted");
    ShardWindow window;
    assert_int_equal(shard_window_count(store, 0), 2);
    must(shard_window_read(store, 0, 1, scratch_arena(), &window, &work->diagnostic), &work->diagnostic);
    is_near(window.weight, 0.5);
    int32_t unlabelled = 0;
    for (int32_t i = 0; i < token_count; i++) {
        int32_t label = window.labels[i + 1]; /* one piece a token, behind [CLS] */
        unlabelled += expected[i] == NULL;
        if (expected[i])
            assert_string_equal(label_set_name(shard_store_labels(store), label), expected[i]);
        else
            assert_int_equal(label, TOKEN_LABEL_IGNORED);
    }
    assert_int_equal(shard_window_infos(store, 0)[1].label_count, token_count - unlabelled);
    assert_int_equal(work->summary.unlabelled_tokens, unlabelled);
    assert_int_equal(work->summary.weak_sentences, 1);
    shard_store_close(&store);
    work_free(work);
}

static void weak_labels_are_voted_on_span_by_span(void **state)
{
    static const char *const sources[][2] = {
        /* token by token "b" would be I-X by two of three, but no two sources have the same span there */
        {"w1.conll", "a\tB-X\nb\tI-X\nc\tO\nd\tB-Y\ne\tO\nf\tO\n"},
        {"w2.conll", "a\tO\nb\tI-X\nc\tO\nd\tB-Y\ne\tO\nf\tO\n"},
        {"w3.conll", "a\tO\nb\tO\nc\tO\nd\tB-Y\ne\tI-Y\nf\tO\n"},
    };
    static const char *const majority[] = {"O", NULL, "O", "B-Y", "O", "O"}, *const all[] = {NULL, NULL, "O", NULL, NULL, "O"};
    votes_are(state, WEAK_VOTE_MAJORITY, 3, sources, majority, 6);
    votes_are(state, WEAK_VOTE_ABSTAIN, 3, sources, all, 6);
    static const char *const two[] = {NULL, NULL, "O", "B-Y", "O", "O"}; /* one of two is no majority */
    votes_are(state, WEAK_VOTE_MAJORITY, 2, sources, two, 6);
    static const char *const one[] = {"B-X", "I-X", "O", "B-Y", "O", "O"};
    votes_are(state, WEAK_VOTE_ABSTAIN, 1, sources, one, 6);
}

static void sentences_without_any_agreement_are_left_out(void **state)
{
    Work *work = work_new(*state);
    work_add(work, "train", SHARD_GOLD, "gold.conll", GOLD);
    work_add(work, "train", SHARD_WEAK, "w1.conll", "Ann\tB-PER\n\nsat\tO\nin\tO\n\nOslo\tB-LOC\n");
    work_add(work, "train", SHARD_WEAK, "w2.conll", "Ann\tB-LOC\n\nsat\tO\nin\tB-LOC\n\nOslo\tB-LOC\n");
    log_capture(work->folder);
    ShardStore *store = work_open(work, "left-out");
    char *log = log_captured(work->folder);
    must_contain(log, "1 sequences of weak labels are left out");
    free(log);
    assert_int_equal(work->summary.dropped, 1);
    assert_int_equal(work->summary.weak_sentences, 2);
    assert_int_equal(work->summary.unlabelled_tokens, 1);
    ShardSequence sequence;
    must(shard_sequence_read(store, 0, 2, scratch_arena(), &sequence, &work->diagnostic), &work->diagnostic);
    assert_memory_equal(sequence.text, "satin", 5);
    assert_string_equal(label_set_name(shard_store_all_labels(store), sequence.gold[1]), "O");
    shard_store_close(&store);
    work_free(work);
}

static void weak_files_with_other_tokens_are_refused_with_the_place(void **state)
{
    static const struct {
        const char *first, *second;
        long line, column;
        const char *part;
    } cases[] = {
        {"a\tO\nb\tO\n", "a\tO\nB\tO\n", 2, 1, "\"B\" stands where"},
        {"a\tO\nb\tO\n", "a\tO\n\nb\tO\n", 1, 0, "the sentence ends after \"a\""},
        {"a\tO\n\nb\tO\n", "a\tO\nb\tO\n", 2, 1, "the end of the sentence"},
        {"a\tO\n\nb\tO\n", "a\tO\n", 3, 0, "ends before this sentence"},
        {"a\tO\n", "a\tO\n\nb\tO\n", 3, 0, "ends before this sentence"},
        {"a\tO\n", "a\tX\n", 1, 3, "\"X\" is no label"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Work *work = work_new(*state);
        work_add(work, "train", SHARD_GOLD, "gold.conll", GOLD);
        work_add(work, "train", SHARD_WEAK, "w1.conll", cases[i].first);
        work_add(work, "train", SHARD_WEAK, "w2.conll", cases[i].second);
        assert_int_equal(work_build(work, "refused"), STATUS_INVALID_INPUT);
        must_contain(work->diagnostic.message, cases[i].part);
        assert_int_equal(work->diagnostic.input_line, cases[i].line);
        assert_int_equal(work->diagnostic.input_column, cases[i].column);
        work_free(work);
    }
}

static void weak_and_pseudo_labels_are_taken_over_too(void **state)
{
    Work *work = work_new(*state);
    work_add(work, "train", SHARD_GOLD, "gold.conll", GOLD);
    work_add(work, "train", SHARD_WEAK, "w1.conll", "Ann\tB-PER\n\nsat\tO\nin\tO\n");
    work_add(work, "train", SHARD_WEAK, "w2.conll", "Ann\tB-LOC\n\nsat\tO\nin\tB-LOC\n");
    work_add(work, "train", SHARD_PSEUDO, "p.conll", "Eve\tB-PER\t0.5\n");
    must(work_build(work, "grown"), &work->diagnostic);
    work_add(work, "dev", SHARD_GOLD, "dev.conll", "Tom\tB-PER\n");
    work_add(work, "train", SHARD_GOLD, "more.conll", "to\tO\nBergen\tB-LOC\n");
    must(work_build(work, "grown"), &work->diagnostic);
    assert_int_equal(work->summary.reused_sentences, 4);
    assert_int_equal(work->summary.dropped, 1);
    must(work_build(work, "at-once"), &work->diagnostic);
    assert_int_equal(records_of(work, "grown"), records_of(work, "at-once"));
    work->build.options.weak_vote = WEAK_VOTE_ABSTAIN;
    must(work_build(work, "grown"), &work->diagnostic);
    assert_int_equal(work->summary.reused_sentences, 5); /* all but the one that was voted on */
    work_free(work);
}

static void the_label_of_later_pieces_is_in_the_store_and_is_no_span(void **state)
{
    Work *work = work_new(*state);
    work_add(work, "train", SHARD_GOLD, "gold.conll", "went\tO\n\nAnn\tB-PER\n");
    work->build.options.subword_labels = SUBWORD_SPECIAL;
    ShardStore *store = work_open(work, "special");
    LabelTable *table = NULL;
    assert_int_equal(label_set_count(shard_store_labels(store)), 3); /* B-PER, O, X */
    assert_string_equal(label_set_name(shard_store_labels(store), 2), LABEL_LATER_PIECE);
    assert_int_equal(shard_window_infos(store, 0)[0].has_span, 0);
    assert_int_equal(shard_window_infos(store, 0)[0].label_count, 4);
    assert_int_equal(shard_window_infos(store, 0)[1].has_span, 1);
    must(label_table_create(&table, shard_store_labels(store), &work->diagnostic), &work->diagnostic);
    SpanArray spans = {0};
    spans_extract_default(table, (int32_t[]){0, 2, 0}, 3, &spans);
    assert_int_equal(spans.count, 2);
    array_free(&spans);
    label_table_destroy(&table);
    shard_store_close(&store);
    work_free(work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_added_file_is_all_that_is_read_and_the_result_is_as_if_made_at_once),
        cmocka_unit_test(files_may_come_go_and_change_places),
        cmocka_unit_test(what_changes_labels_scheme_or_words_makes_everything_again_and_says_why),
        cmocka_unit_test(damaged_shards_are_made_again),
        cmocka_unit_test(pseudo_labels_are_training_sentences_with_weights),
        cmocka_unit_test(a_document_weighs_what_its_tokens_weigh_on_average),
        cmocka_unit_test(wrong_weights_are_refused_with_their_place),
        cmocka_unit_test(weak_labels_are_voted_on_span_by_span),
        cmocka_unit_test(sentences_without_any_agreement_are_left_out),
        cmocka_unit_test(weak_files_with_other_tokens_are_refused_with_the_place),
        cmocka_unit_test(weak_and_pseudo_labels_are_taken_over_too),
        cmocka_unit_test(the_label_of_later_pieces_is_in_the_store_and_is_no_span),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
