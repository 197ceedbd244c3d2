/* Sentences that stand somewhere twice, or nearly so: within one set, or in train and in dev or test (leakage).
 *
 * Exact repetition is found by hashes as sentences come. What is nearly the same is found in the end, exactly and without comparing all with
 * all: two sets of word pairs whose Jaccard index is at least t share one of the first n - ceil(t n) + 1 pairs in any order that is the same
 * for all (prefix filtering: Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007). Here rare pairs come first, so that few
 * sentences meet. */
#include <stdlib.h>
#include <string.h>

#include "core/io/hash.h"
#include "shard/lint_internal.h"

enum {
    RARITY_BITS = 22,      /* counters of word pairs; several may share one, which costs time and nothing else */
    CHAIN_LIMIT = 64,      /* sentences that are tried for one rare pair */
    CANDIDATE_LIMIT = 512, /* and for one sentence */
    WORD_LIMIT = 256,      /* bytes of a word that is folded on the stack */
};

typedef struct Sentence {
    uint64_t tokens, labels; /* hashes */
    int64_t line;
    int32_t file;
    uint32_t pair_count; /* 0: not compared with what is nearly the same */
    uint64_t pairs;      /* where its own begin */
} Sentence;

struct LintSentences {
    ARRAY(Sentence) items;
    uint32_t *slots;       /* number + 1 of a sentence by the hash of its tokens; 0: free */
    size_t capacity;       /* a power of two */
    ARRAY(uint32_t) pairs; /* hashes of pairs of words of each sentence, without repetition */
    bool full;
    LintPlace left_out; /* the first that is not compared */
    ARRAY(uint32_t) scratch;
};

LintSentences *lint_sentences_create(void)
{
    LintSentences *sentences = memory_allocate(1, sizeof *sentences);
    sentences->capacity = 1024;
    sentences->slots = memory_allocate(sentences->capacity, sizeof *sentences->slots);
    return sentences;
}

void lint_sentences_destroy(LintSentences **sentences)
{
    LintSentences *ended = *sentences;
    *sentences = NULL;
    if (!ended)
        return;
    array_free(&ended->items);
    array_free(&ended->pairs);
    array_free(&ended->scratch);
    free(ended->slots);
    free(ended);
}

static size_t slot_find(const LintSentences *sentences, uint64_t tokens)
{
    size_t slot = (size_t)(tokens >> 20) & (sentences->capacity - 1);
    while (sentences->slots[slot] != 0 && sentences->items.items[sentences->slots[slot] - 1].tokens != tokens)
        slot = (slot + 1) & (sentences->capacity - 1);
    return slot;
}

static void slots_grow(LintSentences *sentences)
{
    free(sentences->slots);
    sentences->capacity *= 2;
    sentences->slots = memory_allocate(sentences->capacity, sizeof *sentences->slots);
    for (size_t i = 0; i < sentences->items.count; i++)
        sentences->slots[slot_find(sentences, sentences->items.items[i].tokens)] = (uint32_t)i + 1;
}

/* Of a word without regard to the case of ASCII letters. */
static uint64_t folded_hash(const CorpusToken *token, uint64_t hash)
{
    char folded[WORD_LIMIT];
    bool upper = false;
    if (token->text_size > sizeof folded)
        return hash;
    for (size_t i = 0; i < token->text_size; i++) {
        char byte = token->text[i];
        bool capital = byte >= 'A' && byte <= 'Z';
        upper |= capital;
        folded[i] = capital ? (char)(byte + 'a' - 'A') : byte;
    }
    return upper ? checksum64(folded, token->text_size) : hash;
}

static int compare_pairs(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

/* The sentence's pairs of neighbouring words, each once. */
static void pairs_add(LintSentences *sentences, const LintView *view, Sentence *sentence)
{
    uint32_t *pairs;
    size_t count = (size_t)view->sentence->token_count, kept = 0;
    sentence->pairs = sentences->pairs.count;
    array_reserve(&sentences->scratch, count);
    pairs = sentences->scratch.items;
    uint64_t before = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t word = folded_hash(&view->sentence->tokens[i], view->hashes.items[i]);
        if (i > 0)
            pairs[i - 1] = (uint32_t)(lint_hash_join(lint_hash_join(0, before), word) >> 32);
        before = word;
    }
    qsort(pairs, count - 1, sizeof *pairs, compare_pairs);
    for (size_t i = 0; i < count - 1; i++)
        if (kept == 0 || pairs[kept - 1] != pairs[i])
            pairs[kept++] = pairs[i];
    for (size_t i = 0; i < kept; i++)
        array_push(&sentences->pairs, pairs[i]);
    sentence->pair_count = (uint32_t)kept;
}

static void repetition_report(Linter *linter, const Sentence *first, const Sentence *again, LintPlace place)
{
    LintPlace other = {.file = first->file, .line = first->line};
    bool alike = first->labels == again->labels;
    bool same_set = linter->files.items[first->file].set == linter->files.items[again->file].set;
    const char *where = lint_place_text(linter, other);
    if (!same_set)
        lint_report(linter, place, LINT_SHARED_SENTENCE, "the sentence stands in %s too%s: scores on it say little", where,
                    alike ? "" : ", with other labels");
    else if (alike)
        lint_report(linter, place, LINT_DUPLICATE_SENTENCE, "the sentence stands in %s already", where);
    else
        lint_report(linter, place, LINT_CONFLICTING_SENTENCE,
                    "the sentence stands in %s already, with other labels: one of both is wrong", where);
}

static bool near_is_wanted(const LintOptions *options)
{
    return !options->disabled[LINT_NEAR_DUPLICATE] || !options->disabled[LINT_NEAR_SHARED];
}

static bool exact_is_wanted(const LintOptions *options)
{
    return !options->disabled[LINT_DUPLICATE_SENTENCE] || !options->disabled[LINT_CONFLICTING_SENTENCE] ||
           !options->disabled[LINT_SHARED_SENTENCE];
}

void lint_sentences_check(Linter *linter)
{
    LintSentences *sentences = linter->sentences;
    const LintView *view = &linter->view;
    const LintOptions *options = linter->options;
    int32_t count = view->sentence->token_count;
    if (count < LINT_DUPLICATE_TOKENS || (!near_is_wanted(options) && !exact_is_wanted(options)))
        return;
    LintPlace place = lint_token_place(view->file, &view->sentence->tokens[0]);
    Sentence sentence = {.line = place.line, .file = view->file};
    for (int32_t i = 0; i < count; i++) {
        sentence.tokens = lint_hash_join(sentence.tokens, view->hashes.items[i]);
        sentence.labels = lint_hash_join(sentence.labels, checksum64(view->labels.items[i], strlen(view->labels.items[i])));
    }
    size_t slot = slot_find(sentences, sentence.tokens);
    if (sentences->slots[slot] != 0) {
        repetition_report(linter, &sentences->items.items[sentences->slots[slot] - 1], &sentence, place);
        return;
    }
    if (sentences->items.count >= LINT_SENTENCE_LIMIT || sentences->pairs.count + (size_t)count > LINT_PAIR_LIMIT) {
        if (!sentences->full)
            sentences->left_out = place;
        sentences->full = true;
        return;
    }
    if (count >= LINT_NEAR_TOKENS && near_is_wanted(options))
        pairs_add(sentences, view, &sentence);
    array_push(&sentences->items, sentence);
    sentences->slots[slot] = (uint32_t)sentences->items.count;
    if (sentences->items.count * 4 > sentences->capacity * 3)
        slots_grow(sentences);
}

/* Sentences by one of their rare pairs: chains through entries, in the order of the sentences. */
typedef struct NearIndex {
    const LintSentences *sentences;
    uint16_t *rarity;        /* [1 << RARITY_BITS] sentences with a pair of this hash */
    uint32_t *heads, *tails; /* [1 << bits] number + 1 of an entry by the hash of its pair */
    int bits;
    ARRAY(uint32_t) entry_sentences;
    ARRAY(uint32_t) entry_pairs;
    ARRAY(uint32_t) entry_next;
    uint32_t *tried;         /* by sentence: number + 1 of the last one that it was compared with */
    ARRAY(uint64_t) ordered; /* the pairs in hand, rarest first: rarity above, hash below */
} NearIndex;

static uint32_t rarity_slot(uint32_t pair)
{
    return pair & ((1u << RARITY_BITS) - 1);
}

static void index_create(NearIndex *index, const LintSentences *sentences)
{
    index->sentences = sentences;
    index->bits = 10;
    while (index->bits < 24 && (size_t)1 << index->bits < sentences->items.count * 4)
        index->bits++;
    index->rarity = memory_allocate((size_t)1 << RARITY_BITS, sizeof *index->rarity);
    index->heads = memory_allocate((size_t)1 << index->bits, sizeof *index->heads);
    index->tails = memory_allocate((size_t)1 << index->bits, sizeof *index->tails);
    index->tried = memory_allocate(sentences->items.count + 1, sizeof *index->tried);
    for (size_t i = 0; i < sentences->pairs.count; i++) {
        uint16_t *count = &index->rarity[rarity_slot(sentences->pairs.items[i])];
        *count += *count < UINT16_MAX;
    }
}

static void index_free(NearIndex *index)
{
    free(index->rarity);
    free(index->heads);
    free(index->tails);
    free(index->tried);
    array_free(&index->entry_sentences);
    array_free(&index->entry_pairs);
    array_free(&index->entry_next);
    array_free(&index->ordered);
}

static size_t chain_of(const NearIndex *index, uint32_t pair)
{
    return pair >> (32 - index->bits);
}

static void index_add(NearIndex *index, uint32_t pair, uint32_t sentence)
{
    size_t chain = chain_of(index, pair);
    array_push(&index->entry_sentences, sentence);
    array_push(&index->entry_pairs, pair);
    array_push(&index->entry_next, 0u);
    uint32_t entry = (uint32_t)index->entry_pairs.count;
    if (index->tails[chain] != 0)
        index->entry_next.items[index->tails[chain] - 1] = entry;
    else
        index->heads[chain] = entry;
    index->tails[chain] = entry;
}

static int compare_ordered(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Pairs in common of all pairs, in percent; both lists are sorted. */
static int common_percent(const LintSentences *sentences, const Sentence *one, const Sentence *other)
{
    const uint32_t *a = sentences->pairs.items + one->pairs, *b = sentences->pairs.items + other->pairs;
    uint32_t i = 0, j = 0, common = 0;
    while (i < one->pair_count && j < other->pair_count) {
        common += a[i] == b[j];
        uint32_t x = a[i], y = b[j];
        i += x <= y;
        j += y <= x;
    }
    return (int)(100 * (uint64_t)common / (one->pair_count + other->pair_count - common));
}

static bool sizes_fit(uint32_t a, uint32_t b)
{
    uint64_t small = a < b ? a : b, large = a < b ? b : a;
    return small * 100 >= large * LINT_NEAR_PERCENT;
}

/* The earliest sentence found that is nearly the same, or UINT32_MAX. */
static uint32_t near_find(NearIndex *index, uint32_t number, size_t prefix, int *percent)
{
    const Sentence *sentences = index->sentences->items.items, *sentence = &sentences[number];
    int compared = 0;
    uint32_t best = UINT32_MAX;
    for (size_t i = 0; i < prefix; i++) {
        uint32_t pair = (uint32_t)index->ordered.items[i];
        int steps = 0;
        for (uint32_t entry = index->heads[chain_of(index, pair)]; entry != 0 && steps < CHAIN_LIMIT && compared < CANDIDATE_LIMIT;
             entry = index->entry_next.items[entry - 1]) {
            uint32_t candidate = index->entry_sentences.items[entry - 1];
            steps++;
            if (index->entry_pairs.items[entry - 1] != pair || index->tried[candidate] == number + 1 || candidate >= best ||
                !sizes_fit(sentence->pair_count, sentences[candidate].pair_count))
                continue;
            index->tried[candidate] = number + 1;
            compared++;
            int found = common_percent(index->sentences, sentence, &sentences[candidate]);
            if (found < LINT_NEAR_PERCENT)
                continue;
            best = candidate;
            *percent = found;
        }
    }
    return best;
}

static void near_report(Linter *linter, const Sentence *first, const Sentence *again, int percent)
{
    LintPlace place = {.file = again->file, .line = again->line, .column = 1}, other = {.file = first->file, .line = first->line};
    bool same_set = linter->files.items[first->file].set == linter->files.items[again->file].set;
    lint_report(linter, place, same_set ? LINT_NEAR_DUPLICATE : LINT_NEAR_SHARED,
                percent == 100 ? "the sentence differs from that in %s in the case of letters or in what it repeats"
                               : "the sentence is nearly that in %s (%d%% of their pairs of words are common)",
                lint_place_text(linter, other), percent);
}

static void near_compare(Linter *linter, NearIndex *index, uint32_t number)
{
    const Sentence *sentence = &index->sentences->items.items[number];
    const uint32_t *pairs = index->sentences->pairs.items + sentence->pairs;
    index->ordered.count = 0;
    for (uint32_t i = 0; i < sentence->pair_count; i++)
        array_push(&index->ordered, (uint64_t)index->rarity[rarity_slot(pairs[i])] << 32 | pairs[i]);
    qsort(index->ordered.items, index->ordered.count, sizeof *index->ordered.items, compare_ordered);
    size_t needed = ((size_t)sentence->pair_count * LINT_NEAR_PERCENT + 99) / 100;
    size_t prefix = sentence->pair_count - needed + 1;
    int percent = 0;
    uint32_t found = near_find(index, number, prefix, &percent);
    if (found != UINT32_MAX)
        near_report(linter, &index->sentences->items.items[found], sentence, percent);
    for (size_t i = 0; i < prefix; i++)
        index_add(index, (uint32_t)index->ordered.items[i], number);
}

void lint_sentences_compare(Linter *linter)
{
    const LintSentences *sentences = linter->sentences;
    NearIndex index = {0};
    if (sentences->full)
        lint_report(linter, sentences->left_out, LINT_DUPLICATE_SENTENCE,
                    "from here on sentences are compared no more: %zu of them, or %zu pairs of words, are the most that is kept",
                    (size_t)LINT_SENTENCE_LIMIT, (size_t)LINT_PAIR_LIMIT);
    if (sentences->pairs.count == 0)
        return;
    index_create(&index, sentences);
    for (size_t i = 0; i < sentences->items.count; i++)
        if (sentences->items.items[i].pair_count > 0)
            near_compare(linter, &index, (uint32_t)i);
    index_free(&index);
}
