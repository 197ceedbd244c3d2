/* Cutting a sequence into windows: semantics.md section 3, "Windows". */
#include "shard/align.h"

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* The start of the token that piece `at` belongs to (at itself when it is one, or the sequence's end), not before low. */
static int32_t token_start(const int32_t *token_index, int32_t piece_count, int32_t at, int32_t low)
{
    while (at > low && at < piece_count && token_index[at - 1] == token_index[at])
        at--;
    return at;
}

static bool is_token_start(const int32_t *token_index, int32_t piece_count, int32_t at)
{
    return at == 0 || at >= piece_count || token_index[at - 1] != token_index[at];
}

/* First piece that the later of two neighbours owns: the middle of their overlap, moved so that no token is torn unless a window's edge
 * tears it anyway. */
static int32_t owner_change(const int32_t *token_index, int32_t piece_count, const Window *left, const Window *right)
{
    int32_t left_end = left->first + left->count;
    int32_t middle = (left_end - 1 + right->first) / 2 + 1; /* a tie goes to the earlier window */
    int32_t start = token_start(token_index, piece_count, middle, right->first);
    if (is_token_start(token_index, piece_count, start))
        return start;
    int32_t end = middle; /* the later window begins inside this token: the earlier one has all of it when it ends in time */
    while (end < left_end && !is_token_start(token_index, piece_count, end))
        end++;
    return is_token_start(token_index, piece_count, end) ? end : middle;
}

void windows_cut(const int32_t *token_index, int32_t piece_count, int64_t max_seq_length, int64_t stride, WindowArray *windows)
{
    ASSERT(max_seq_length >= 3 && max_seq_length <= INT32_MAX && stride >= 0 && stride < max_seq_length - 2);
    int32_t content = (int32_t)max_seq_length - 2, step = content - (int32_t)stride;
    size_t first_window = windows->count;
    for (int32_t first = 0; first < piece_count;) {
        int32_t end = piece_count - first <= content ? piece_count : first + content;
        if (end < piece_count) {
            int32_t boundary = token_start(token_index, piece_count, end, first);
            end = boundary > first ? boundary : end; /* a token longer than a window is cut inside */
        }
        Window window = {.first = first, .count = end - first, .owned_first = first, .owned_end = end};
        array_push(windows, window);
        if (end == piece_count)
            break;
        int32_t wanted = smaller(first + step, end);
        int32_t next = token_start(token_index, piece_count, wanted, first);
        if (next <= first)
            next = is_token_start(token_index, piece_count, end) ? end : wanted;
        first = next;
    }
    for (size_t i = first_window; i + 1 < windows->count; i++) {
        Window *left = &windows->items[i], *right = &windows->items[i + 1];
        int32_t change = owner_change(token_index, piece_count, left, right);
        if (change < left->owned_first)
            change = left->owned_first;
        left->owned_end = right->owned_first = change;
    }
}
