#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/philox.h"
#include "core/base/token_block.h"
#include "shard/align.h"

enum { IGNORED = TOKEN_LABEL_IGNORED };

typedef struct Fixture {
    Wordpiece *wordpiece;
    LabelSet *labels;
    DataOptions options;
    AlignedPieces pieces;
} Fixture;

static Fixture fixture_of(const char *folder, bool lowercase, const char *const *labels)
{
    static const char *const words[] = {"Lon", "##do", "is", NULL};
    Diagnostic diagnostic = {0};
    Fixture fixture = {.labels = label_set_create(), .options = data_options()};
    char *path = vocabulary_write(folder, words);
    must(wordpiece_open(&fixture.wordpiece, path, (WordpieceOptions){.lowercase = lowercase}, &diagnostic), &diagnostic);
    for (size_t i = 0; labels[i]; i++)
        label_set_add(fixture.labels, labels[i]);
    free(path);
    return fixture;
}

static void fixture_free(Fixture *fixture)
{
    aligned_pieces_free(&fixture->pieces);
    label_set_destroy(&fixture->labels);
    wordpiece_close(&fixture->wordpiece);
}

static Status fixture_align(Fixture *fixture, const char *const *tokens, const int32_t *labels, int32_t n, Diagnostic *diagnostic)
{
    enum { MOST = 16 };
    size_t sizes[MOST];
    char *copies[MOST];
    for (int32_t i = 0; i < n; i++) { /* each with what must be there behind it, and no byte more */
        sizes[i] = strlen(tokens[i]);
        copies[i] = memory_allocate(sizes[i] > WORDPIECE_TOKEN_SLACK ? sizes[i] : WORDPIECE_TOKEN_SLACK, 1);
        memset(copies[i], 'x', WORDPIECE_TOKEN_SLACK);
        memcpy(copies[i], tokens[i], sizes[i]);
    }
    aligned_pieces_clear(&fixture->pieces);
    Status status = align_tokens(fixture->wordpiece, (const char *const *)copies, sizes, labels, n, fixture->labels, SCHEME_IOB2,
                                 &fixture->options, &fixture->pieces, diagnostic);
    for (int32_t i = 0; i < n; i++)
        free(copies[i]);
    return status;
}

static void pieces_are(const Fixture *fixture, const char *expected)
{
    Text text = {0};
    for (size_t i = 0; i < fixture->pieces.ids.count; i++) {
        int32_t label = fixture->pieces.labels.items[i];
        text_format(&text, "%s%d:%s:%s", i ? " " : "", fixture->pieces.token_index.items[i],
                    wordpiece_piece(fixture->wordpiece, fixture->pieces.ids.items[i]),
                    label >= 0 ? label_set_name(fixture->labels, label) : "_");
    }
    text_append(&text, "", 0);
    assert_string_equal(text.bytes, expected);
    text_free(&text);
}

static const char *const iob_labels[] = {"O", "B-LOC", "I-LOC", NULL};
static const char *const sentence[] = {"London", "is", "On"};

static void the_first_piece_has_the_label_and_the_others_are_ignored(void **state)
{
    Fixture fixture = fixture_of(*state, false, iob_labels);
    Diagnostic diagnostic = {0};
    must(fixture_align(&fixture, sentence, (int32_t[]){1, 0, 2}, 3, &diagnostic), &diagnostic);
    pieces_are(&fixture, "0:Lon:B-LOC 0:##do:_ 0:##n:_ 1:is:O 2:O:I-LOC 2:##n:_");
    fixture_free(&fixture);
}

static void labels_that_training_lacks_and_predictions_are_ignored(void **state)
{
    Fixture fixture = fixture_of(*state, false, iob_labels);
    Diagnostic diagnostic = {0};
    fixture.options.subword_labels = SUBWORD_COPY;
    must(fixture_align(&fixture, sentence, (int32_t[]){-1, 0, 2}, 3, &diagnostic), &diagnostic);
    pieces_are(&fixture, "0:Lon:_ 0:##do:_ 0:##n:_ 1:is:O 2:O:I-LOC 2:##n:I-LOC");
    must(fixture_align(&fixture, sentence, NULL, 3, &diagnostic), &diagnostic);
    pieces_are(&fixture, "0:Lon:_ 0:##do:_ 0:##n:_ 1:is:_ 2:O:_ 2:##n:_");
    fixture_free(&fixture);
}

static void inside_makes_later_pieces_i_and_copy_repeats_the_label(void **state)
{
    Fixture fixture = fixture_of(*state, false, iob_labels);
    Diagnostic diagnostic = {0};
    fixture.options.subword_labels = SUBWORD_INSIDE;
    must(fixture_align(&fixture, sentence, (int32_t[]){1, 0, 2}, 3, &diagnostic), &diagnostic);
    pieces_are(&fixture, "0:Lon:B-LOC 0:##do:I-LOC 0:##n:I-LOC 1:is:O 2:O:I-LOC 2:##n:I-LOC");
    fixture.options.subword_labels = SUBWORD_COPY;
    must(fixture_align(&fixture, sentence, (int32_t[]){1, 0, 2}, 3, &diagnostic), &diagnostic);
    pieces_are(&fixture, "0:Lon:B-LOC 0:##do:B-LOC 0:##n:B-LOC 1:is:O 2:O:I-LOC 2:##n:I-LOC");
    fixture_free(&fixture);
}

static void inside_ends_a_span_on_its_last_piece_in_the_corpus_own_letters(void **state)
{
    static const char *const bioes[] = {"O", "S-LOC", "E-LOC", NULL}, *const bilou[] = {"O", "U-LOC", "L-LOC", NULL};
    Diagnostic diagnostic = {0};
    Fixture fixture = fixture_of(*state, false, bioes);
    fixture.options.subword_labels = SUBWORD_INSIDE;
    assert_int_equal(fixture_align(&fixture, sentence, (int32_t[]){1, 0, 2}, 3, &diagnostic), STATUS_MISMATCH);
    must_contain(diagnostic.message, "\"I-LOC\"");
    align_add_derived_labels(fixture.labels, SUBWORD_INSIDE);
    must(fixture_align(&fixture, sentence, (int32_t[]){1, 0, 2}, 3, &diagnostic), &diagnostic);
    pieces_are(&fixture, "0:Lon:S-LOC 0:##do:I-LOC 0:##n:E-LOC 1:is:O 2:O:E-LOC 2:##n:E-LOC");
    fixture_free(&fixture);
    fixture = fixture_of(*state, false, bilou);
    fixture.options.subword_labels = SUBWORD_INSIDE;
    align_add_derived_labels(fixture.labels, SUBWORD_INSIDE);
    must(fixture_align(&fixture, sentence, (int32_t[]){1, 0, 2}, 3, &diagnostic), &diagnostic);
    pieces_are(&fixture, "0:Lon:U-LOC 0:##do:I-LOC 0:##n:L-LOC 1:is:O 2:O:L-LOC 2:##n:L-LOC");
    fixture_free(&fixture);
}

static void special_gives_all_later_pieces_one_label(void **state)
{
    Fixture fixture = fixture_of(*state, false, iob_labels);
    Diagnostic diagnostic = {0};
    fixture.options.subword_labels = SUBWORD_SPECIAL;
    assert_int_equal(fixture_align(&fixture, sentence, (int32_t[]){1, 0, 2}, 3, &diagnostic), STATUS_MISMATCH);
    must_contain(diagnostic.message, "\"X\"");
    align_add_derived_labels(fixture.labels, SUBWORD_SPECIAL);
    must(fixture_align(&fixture, sentence, (int32_t[]){1, 0, -1}, 3, &diagnostic), &diagnostic);
    pieces_are(&fixture, "0:Lon:B-LOC 0:##do:X 0:##n:X 1:is:O 2:O:_ 2:##n:_");
    fixture_free(&fixture);
}

static void a_sequence_has_so_many_pieces_and_no_more(void **state)
{
    enum { LONG_TOKEN = 1 << 20, TOKENS = ALIGN_PIECE_LIMIT / LONG_TOKEN + 1 };
    Fixture fixture = fixture_of(*state, true, iob_labels);
    Diagnostic diagnostic = {0};
    char *marks = memory_allocate(LONG_TOKEN + 1, 1);
    memset(marks, '!', LONG_TOKEN); /* each a piece of its own */
    const char *tokens[TOKENS];
    int32_t labels[TOKENS] = {0};
    for (int i = 0; i < TOKENS; i++)
        tokens[i] = marks;
    must(fixture_align(&fixture, tokens, labels, TOKENS - 1, &diagnostic), &diagnostic);
    assert_int_equal(fixture.pieces.ids.count, ALIGN_PIECE_LIMIT);
    assert_int_equal(fixture_align(&fixture, tokens, labels, TOKENS, &diagnostic), STATUS_LIMIT);
    must_contain(diagnostic.message, "cut it into shorter ones");
    free(marks);
    fixture_free(&fixture);
}

static void a_token_without_pieces_becomes_unknown_is_dropped_or_refused(void **state)
{
    static const char *const tokens[] = {"is", "\xEF\xB8\x8F", "on"}; /* U+FE0F alone */
    Fixture fixture = fixture_of(*state, true, iob_labels);
    Diagnostic diagnostic = {0};
    must(fixture_align(&fixture, tokens, (int32_t[]){0, 1, 0}, 3, &diagnostic), &diagnostic);
    pieces_are(&fixture, "0:is:O 1:[UNK]:B-LOC 2:o:O 2:##n:_");
    assert_int_equal(fixture.pieces.zero_piece_tokens, 1);
    fixture.options.zero_piece = ZERO_PIECE_DROP;
    must(fixture_align(&fixture, tokens, (int32_t[]){0, 1, 0}, 3, &diagnostic), &diagnostic);
    pieces_are(&fixture, "0:is:O 2:o:O 2:##n:_");
    fixture.options.zero_piece = ZERO_PIECE_ERROR;
    assert_int_equal(fixture_align(&fixture, tokens, (int32_t[]){0, 1, 0}, 3, &diagnostic), STATUS_INVALID_INPUT);
    must_contain(diagnostic.message, "token 1");
    fixture_free(&fixture);
}

static void of_two_tokens_that_are_wrong_the_first_is_told(void **state)
{
    static const char *const no_piece_first[] = {"is", "\xEF\xB8\x8F", "on", "\xFF"}, *const no_text_first[] = {"\xFF",
                                                                                                                "\xEF\xB8\x8F"};
    Fixture fixture = fixture_of(*state, true, iob_labels);
    Diagnostic diagnostic = {0};
    fixture.options.zero_piece = ZERO_PIECE_ERROR;
    assert_int_equal(fixture_align(&fixture, no_piece_first, (int32_t[]){0, 1, 0, 0}, 4, &diagnostic), STATUS_INVALID_INPUT);
    must_contain(diagnostic.message, "token 1");
    assert_int_equal(fixture_align(&fixture, no_text_first, (int32_t[]){0, 0}, 2, &diagnostic), STATUS_INVALID_INPUT);
    must_contain(diagnostic.message, "not UTF-8");
    fixture_free(&fixture);
}

static void windows_are(const int32_t *token_index, int32_t pieces, int64_t max_seq_length, int64_t stride, const char *expected)
{
    WindowArray windows = {0};
    Text text = {0};
    windows_cut(token_index, pieces, max_seq_length, stride, &windows);
    for (size_t i = 0; i < windows.count; i++) {
        const Window *window = &windows.items[i];
        text_format(&text, "%s%d-%d(%d-%d)", i ? " " : "", window->first, window->first + window->count, window->owned_first,
                    window->owned_end);
    }
    text_append(&text, "", 0);
    assert_string_equal(text.bytes, expected);
    text_free(&text);
    array_free(&windows);
}

static void a_short_sequence_is_one_window_and_an_empty_one_none(void **state)
{
    (void)state;
    static const int32_t single[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    windows_are(single, 0, 8, 2, "");
    windows_are(single, 1, 8, 2, "0-1(0-1)");
    windows_are(single, 6, 8, 2, "0-6(0-6)");
}

static void windows_step_by_content_less_stride_and_the_last_one_is_kept(void **state)
{
    (void)state;
    static const int32_t single[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    windows_are(single, 7, 8, 2, "0-6(0-5) 4-7(5-7)");
    windows_are(single, 10, 8, 2, "0-6(0-5) 4-10(5-10)");
    windows_are(single, 11, 8, 2, "0-6(0-5) 4-10(5-9) 8-11(9-11)");
    windows_are(single, 12, 8, 0, "0-6(0-6) 6-12(6-12)");
}

static void windows_are_cut_between_tokens(void **state)
{
    (void)state;
    /*                                0  1  2  3  4  5  6  7  8  9 */
    static const int32_t tokens[] = {0, 0, 0, 1, 1, 2, 2, 3, 4, 5};
    windows_are(tokens, 10, 8, 2, "0-5(0-3) 3-9(3-8) 7-10(8-10)");
    windows_are(tokens, 10, 9, 2, "0-7(0-5) 5-10(5-10)");
}

static void a_token_longer_than_a_window_is_cut_inside(void **state)
{
    (void)state;
    static const int32_t tokens[] = {0, 1, 1, 1, 1, 1, 1, 1, 2};
    windows_are(tokens, 9, 6, 1, "0-1(0-1) 1-5(1-5) 4-8(5-8) 8-9(8-9)");
}

/* Context of piece i in [first, end) of a sequence of n pieces: what is cut off at either side, the nearer one. */
static int32_t context_of(int32_t i, int32_t first, int32_t end, int32_t n)
{
    int32_t left = first == 0 ? INT32_MAX : i - first, right = end == n ? INT32_MAX : end - 1 - i;
    return left < right ? left : right;
}

static void check_windows(const int32_t *token_index, int32_t n, int32_t longest_token, int64_t max_seq_length, int64_t stride)
{
    WindowArray windows = {0};
    windows_cut(token_index, n, max_seq_length, stride, &windows);
    int32_t content = (int32_t)max_seq_length - 2, owned = 0;
    assert_true(windows.count > 0 && windows.count <= (size_t)n);
    for (size_t i = 0; i < windows.count; i++) {
        const Window *window = &windows.items[i];
        int32_t end = window->first + window->count;
        assert_true(window->count >= 1 && window->count <= content && end <= n);
        assert_int_equal(window->owned_first, owned);
        assert_true(window->owned_first >= window->first && window->owned_end <= end && window->owned_end >= window->owned_first);
        owned = window->owned_end;
        if (longest_token <= content) {
            assert_true(window->first == 0 || token_index[window->first - 1] != token_index[window->first]);
            assert_true(end == n || token_index[end - 1] != token_index[end]);
            assert_true(owned == n || owned == 0 || token_index[owned - 1] != token_index[owned]);
        }
        for (int32_t piece = window->owned_first; longest_token == 1 && piece < window->owned_end; piece++)
            for (size_t other = 0; other < windows.count; other++) {
                int32_t first = windows.items[other].first, other_end = first + windows.items[other].count;
                if (piece >= first && piece < other_end)
                    assert_true(context_of(piece, first, other_end, n) <= context_of(piece, window->first, end, n));
            }
    }
    assert_int_equal(owned, n);
    assert_int_equal(windows.items[windows.count - 1].first + windows.items[windows.count - 1].count, n);
    array_free(&windows);
}

static void every_piece_is_owned_once_where_it_has_the_most_context(void **state)
{
    (void)state;
    enum { LIMIT = 300 };
    int32_t token_index[LIMIT];
    PhiloxKey key = philox_key(7, RANDOM_INIT, 0);
    for (uint32_t round = 0; round < 4000; round++) {
        PhiloxBlock random = philox4x32_10(key, round, 0, 0, 0);
        int32_t n = 1 + (int32_t)(random.word[0] % LIMIT), content = 1 + (int32_t)(random.word[1] % 40), longest = 0;
        int32_t stride = (int32_t)(random.word[2] % (uint32_t)content), bound = round % 3 == 0 ? 1 : round % 3 == 1 ? 4 : 50;
        for (int32_t i = 0, token = 0, left = 0, length = 0; i < n; i++, left--) {
            if (left == 0) {
                length = left = 1 + (int32_t)(philox4x32_10(key, round, (uint32_t)i + 1, 0, 0).word[0] % (uint32_t)bound);
                token++;
                longest = length > longest ? length : longest;
            }
            token_index[i] = token;
        }
        check_windows(token_index, n, longest, content + 2, stride);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_piece_has_the_label_and_the_others_are_ignored),
        cmocka_unit_test(labels_that_training_lacks_and_predictions_are_ignored),
        cmocka_unit_test(inside_makes_later_pieces_i_and_copy_repeats_the_label),
        cmocka_unit_test(inside_ends_a_span_on_its_last_piece_in_the_corpus_own_letters),
        cmocka_unit_test(special_gives_all_later_pieces_one_label),
        cmocka_unit_test(a_sequence_has_so_many_pieces_and_no_more),
        cmocka_unit_test(a_token_without_pieces_becomes_unknown_is_dropped_or_refused),
        cmocka_unit_test(of_two_tokens_that_are_wrong_the_first_is_told),
        cmocka_unit_test(a_short_sequence_is_one_window_and_an_empty_one_none),
        cmocka_unit_test(windows_step_by_content_less_stride_and_the_last_one_is_kept),
        cmocka_unit_test(windows_are_cut_between_tokens),
        cmocka_unit_test(a_token_longer_than_a_window_is_cut_inside),
        cmocka_unit_test(every_piece_is_owned_once_where_it_has_the_most_context),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
