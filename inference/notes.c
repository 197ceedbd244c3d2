#include "inference/notes.h"

#include <stdlib.h>
#include <string.h>

#include "core/io/file.h"

enum { NOTES_SIZE_LIMIT = 1 << 20, NOTES_FORMAT = 1, DEFAULT_STRIDE = 50 };

Json *prediction_notes_of_shards(const ShardStore *store)
{
    const DataOptions *options = shard_store_options(store);
    Json *json = json_object();
    json_set(json, "format", json_integer(NOTES_FORMAT));
    json_set(json, "scheme", json_string(label_scheme_name(shard_store_scheme(store))));
    json_set(json, "words", json_string(words_rule_name(shard_store_words(store))));
    json_set(json, "max_seq_length", json_integer(options->max_seq_length));
    json_set(json, "stride", json_integer(options->stride));
    prediction_notes_set_decode(json, DECODE_ARGMAX);
    return json;
}

static const char *const decode_rule_names[] = {[DECODE_ARGMAX] = "argmax", [DECODE_VITERBI] = "viterbi"};

const char *decode_rule_name(DecodeRule rule)
{
    return decode_rule_names[rule];
}

bool decode_rule_parse(const char *name, DecodeRule *rule)
{
    *rule = strcmp(name, decode_rule_names[DECODE_VITERBI]) == 0 ? DECODE_VITERBI : DECODE_ARGMAX;
    return strcmp(name, decode_rule_names[*rule]) == 0;
}

void prediction_notes_set_decode(Json *notes, DecodeRule decode)
{
    json_set(notes, "decode", json_string(decode_rule_name(decode)));
}

static Status notes_parse(PredictionNotes *notes, const Json *json, const char *path, int32_t max_positions, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    int64_t format;
    const char *scheme, *words, *decode = json_string_value(json_get(json, "decode")); /* missing in folders of version 0.1.0 */
    TRY(json_require_integer(json, "format", path, NOTES_FORMAT, NOTES_FORMAT, &format, diagnostic));
    TRY(json_require_string(json, "scheme", path, &scheme, diagnostic));
    TRY(json_require_string(json, "words", path, &words, diagnostic));
    TRY(json_require_integer(json, "max_seq_length", path, 3, max_positions, &notes->max_seq_length, diagnostic));
    TRY(json_require_integer(json, "stride", path, 0, notes->max_seq_length - 3, &notes->stride, diagnostic));
    if (!label_scheme_parse(scheme, &notes->scheme))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: \"%s\" is no label scheme", path, scheme);
    if (!words_rule_parse(words, &notes->words))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: \"%s\" is no words rule", path, words);
    if (decode && !decode_rule_parse(decode, &notes->decode))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: decode is \"%s\": expected argmax or viterbi", path, decode);
out:
    return status;
}

Status prediction_notes_read(PredictionNotes *notes, const char *folder, int32_t max_positions, Diagnostic *diagnostic)
{
    int64_t content = max_positions - 2, stride = DEFAULT_STRIDE < content / 2 ? DEFAULT_STRIDE : content / 2;
    *notes = (PredictionNotes){SCHEME_IOB2, WORDS_TREEBANK, max_positions, stride, DECODE_ARGMAX};
    char *path = path_join(folder, "nersweep.json");
    Json *json = NULL;
    Status status = STATUS_OK;
    if (path_exists(path)) {
        TRY(json_read_file(&json, path, NOTES_SIZE_LIMIT, diagnostic));
        TRY(notes_parse(notes, json, path, max_positions, diagnostic));
    }
out:
    json_destroy(&json);
    free(path);
    return status;
}
