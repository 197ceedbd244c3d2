/* Statistics of a corpus file as JSON: what every view of them is drawn from. */
#include <stdlib.h>

#include "shard/stats_internal.h"

static double ratio(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

/* The length that comes at this place (from 0) among all, shortest first. */
static int64_t length_at(const LengthCounts *lengths, int64_t place)
{
    int64_t before = 0;
    for (size_t length = 0; length < lengths->counts.count; length++) {
        before += lengths->counts.items[length];
        if (before > place)
            return (int64_t)length;
    }
    return 0;
}

/* The median of an even number of lengths is the mean of both middle ones, p95 the smallest that 95% are not above. */
static Json *lengths_json(const LengthCounts *lengths)
{
    Json *json = json_object(), *histogram = json_array();
    int64_t total = lengths->total;
    double middle = 0.5 * (double)length_at(lengths, (total - 1) / 2) + 0.5 * (double)length_at(lengths, total / 2);
    for (size_t length = 0; length < lengths->counts.count; length++) {
        if (lengths->counts.items[length] == 0)
            continue;
        Json *pair = json_array();
        json_append(pair, json_integer((int64_t)length));
        json_append(pair, json_integer(lengths->counts.items[length]));
        json_append(histogram, pair);
    }
    json_set(json, "mean", json_real(ratio(lengths->sum, total)));
    json_set(json, "median", json_real(total > 0 ? middle : 0));
    json_set(json, "p95", json_integer(total > 0 ? length_at(lengths, (total * 95 + 99) / 100 - 1) : 0));
    json_set(json, "max", json_integer(lengths->max));
    json_set(json, "histogram", histogram);
    return json;
}

static Json *pieces_json(const CorpusStats *stats)
{
    const LengthCounts *lengths = &stats->piece_lengths;
    Json *json = lengths_json(lengths);
    int64_t over = 0;
    json_set(json, "unk", json_integer(stats->unk_pieces));
    if (stats->window_pieces <= 0)
        return json;
    for (size_t length = (size_t)stats->window_pieces + 1; length < lengths->counts.count; length++)
        over += lengths->counts.items[length];
    json_set(json, "window", json_integer(stats->window_pieces));
    json_set(json, "over_window", json_integer(over));
    return json;
}

static Json *label_counts_json(const CorpusStats *stats)
{
    LabelSet *sorted = label_set_copy(stats->labels);
    label_set_sort(sorted, NULL);
    Json *json = json_object();
    for (int32_t id = 0; id < label_set_count(sorted); id++) {
        const char *name = label_set_name(sorted, id);
        json_set(json, name, json_integer(stats->label_counts.items[label_set_find(stats->labels, name)]));
    }
    label_set_destroy(&sorted);
    return json;
}

static Json *type_json(const CorpusStats *stats, const TypeStats *type)
{
    Json *json = json_object();
    json_set(json, "spans", json_integer(type->spans));
    json_set(json, "forms", json_integer((int64_t)type->forms.count));
    json_set(json, "type_token_ratio", json_real(ratio((int64_t)type->forms.count, type->spans)));
    json_set(json, "mean_length", json_real(ratio(type->tokens, type->spans)));
    if (stats->overlaps.count > 0) {
        json_set(json, "unseen", json_integer(type->unseen));
        json_set(json, "unseen_share", json_real(ratio(type->unseen, type->spans)));
    }
    return json;
}

static void types_set(Json *json, const CorpusStats *stats)
{
    Json *by_type = json_object(), *diversity = json_object(), *types = json_object();
    for (size_t i = 0; i < stats->types.count; i++) {
        const TypeStats *type = &stats->types.items[i];
        json_set(by_type, type->name, json_integer(type->spans));
        json_set(diversity, type->name, json_real(ratio((int64_t)type->forms.count, type->spans)));
        json_set(types, type->name, type_json(stats, type));
    }
    json_set(json, "spans_by_type", by_type);
    json_set(json, "span_diversity", diversity);
    json_set(json, "types", types);
}

static void comparison_set(Json *json, const CorpusStats *stats)
{
    Json *overlaps = json_array();
    for (size_t i = 0; i < stats->overlaps.count; i++) {
        Json *overlap = json_object();
        json_set(overlap, "file", json_string(stats->overlaps.items[i].path));
        json_set(overlap, "sentences", json_integer(stats->overlaps.items[i].sentences));
        json_append(overlaps, overlap);
    }
    json_set(json, "overlap_with_train", json_integer(stats->overlaps.items[0].sentences));
    json_set(json, "overlap", overlaps);
    json_set(json, "unseen", json_integer(stats->unseen));
    json_set(json, "unseen_share", json_real(ratio(stats->unseen, stats->spans)));
}

Json *corpus_stats_json(const CorpusStats *stats)
{
    Json *json = json_object();
    json_set(json, "file", json_string(stats->path));
    json_set(json, "scheme", json_string(label_scheme_name(stats->scheme)));
    json_set(json, "sentences", json_integer(stats->sentences));
    json_set(json, "tokens", json_integer(stats->tokens));
    json_set(json, "distinct_tokens", json_integer((int64_t)stats->distinct_tokens.count));
    json_set(json, "type_token_ratio", json_real(ratio((int64_t)stats->distinct_tokens.count, stats->tokens)));
    json_set(json, "spans", json_integer(stats->spans));
    types_set(json, stats);
    json_set(json, "labels", label_counts_json(stats));
    json_set(json, "length", lengths_json(&stats->token_lengths));
    if (stats->has_pieces)
        json_set(json, "pieces", pieces_json(stats));
    json_set(json, "span_length", lengths_json(&stats->span_lengths));
    json_set(json, "duplicate_sentences", json_integer(stats->duplicate_sentences));
    json_set(json, "all_o_sentences", json_integer(stats->all_o_sentences));
    json_set(json, "all_o_share", json_real(ratio(stats->all_o_sentences, stats->sentences)));
    if (stats->overlaps.count > 0)
        comparison_set(json, stats);
    json_set(json, "limit_reached", json_boolean(stats->limit_reached));
    return json;
}
