#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

enum { CONFIG_FILE_LIMIT_BYTES = 16 * 1024 * 1024, CONFIG_LABEL_LIMIT = 10000 };

/* What a config.json says where it is silent: Hugging Face's defaults. */
static const float DEFAULT_DROPOUT = 0.1f;
static const float DEFAULT_LAYER_NORM_EPS = 1e-12f;
static const float DEFAULT_INITIALIZER_RANGE = 0.02f;

static Status require_text(const Json *root, const char *key, const char *wanted, const char *name, Diagnostic *diagnostic)
{
    const Json *value = json_get(root, key);
    if (!value || json_is_null(value))
        return STATUS_OK;
    const char *text = json_string_value(value);
    if (!text)
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, 0, 0, "key \"%s\" is not a string", key);
    if (strcmp(text, wanted) != 0)
        return FAIL_AT(diagnostic, STATUS_UNSUPPORTED, name, 0, 0, "%s \"%s\" is not supported, only \"%s\" is", key, text, wanted);
    return STATUS_OK;
}

/* An architecture that we do not compute would load and give wrong numbers: it is refused by name. */
static Status refuse_what_is_not_bert(const Json *root, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(require_text(root, "model_type", "bert", name, diagnostic));
    TRY(require_text(root, "hidden_act", "gelu", name, diagnostic));
    TRY(require_text(root, "position_embedding_type", "absolute", name, diagnostic));
    static const char *const switches[] = {"is_decoder", "add_cross_attention", "is_encoder_decoder"};
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        if (json_boolean_value(json_get(root, switches[i]), false))
            TRY_FAIL(diagnostic, STATUS_UNSUPPORTED, "%s: %s is not supported: only plain encoders are", name, switches[i]);
    }
out:
    return status;
}

static Status read_integer(const Json *root, const char *key, int32_t otherwise, int32_t maximum, const char *name, int32_t *value,
                           Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *value = otherwise;
    if (otherwise == 0 || json_get(root, key)) {
        int64_t wide = 0;
        TRY(json_require_integer(root, key, name, 1, maximum, &wide, diagnostic));
        *value = (int32_t)wide;
    }
out:
    return status;
}

static Status read_real(const Json *root, const char *key, float otherwise, double minimum, double limit, const char *name,
                        float *value, Diagnostic *diagnostic)
{
    const Json *json = json_get(root, key);
    *value = otherwise;
    if (!json || json_is_null(json))
        return STATUS_OK;
    double wide = json_number_value(json, NAN);
    if (!json_is_number(json) || !(wide >= minimum && wide < limit))
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, 0, 0, "key \"%s\" must be a number from %g to below %g", key,
                       minimum, limit);
    *value = (float)wide;
    return STATUS_OK;
}

/* id2label: an object whose keys are "0" .. "C - 1", in any order. */
static Status read_labels(BertConfig *config, const Json *root, const char *name, Diagnostic *diagnostic)
{
    const Json *map = json_get(root, "id2label");
    if (!map || json_is_null(map))
        return STATUS_OK;
    size_t count = json_count(map);
    if (!json_is_object(map) || count > CONFIG_LABEL_LIMIT)
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, 0, 0, "key \"id2label\" must be an object of at most %d labels",
                       CONFIG_LABEL_LIMIT);
    config->labels = memory_allocate(count ? count : 1, sizeof *config->labels);
    config->label_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        const char *label = json_string_value(json_get(map, key));
        if (!label || !*label)
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, 0, 0, "key \"id2label\" has %zu labels, but none for id %zu",
                           count, i);
        config->labels[i] = memory_copy_string(label);
    }
    return STATUS_OK;
}

static Status read_numbers(BertConfig *config, const Json *root, const char *name, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    TRY(read_integer(root, "vocab_size", 0, 2000000, name, &config->vocab_size, diagnostic));
    TRY(read_integer(root, "hidden_size", 0, 8192, name, &config->hidden_size, diagnostic));
    TRY(read_integer(root, "num_hidden_layers", 0, 128, name, &config->num_hidden_layers, diagnostic));
    TRY(read_integer(root, "num_attention_heads", 0, 256, name, &config->num_attention_heads, diagnostic));
    TRY(read_integer(root, "intermediate_size", 0, 65536, name, &config->intermediate_size, diagnostic));
    TRY(read_integer(root, "max_position_embeddings", 512, 65536, name, &config->max_position_embeddings, diagnostic));
    TRY(read_integer(root, "type_vocab_size", 2, 65536, name, &config->type_vocab_size, diagnostic));
    TRY(read_real(root, "hidden_dropout_prob", DEFAULT_DROPOUT, 0, 1, name, &config->hidden_dropout_prob, diagnostic));
    TRY(read_real(root, "attention_probs_dropout_prob", DEFAULT_DROPOUT, 0, 1, name, &config->attention_probs_dropout_prob,
                  diagnostic));
    TRY(read_real(root, "classifier_dropout", config->hidden_dropout_prob, 0, 1, name, &config->classifier_dropout, diagnostic));
    TRY(read_real(root, "layer_norm_eps", DEFAULT_LAYER_NORM_EPS, 0, 1, name, &config->layer_norm_eps, diagnostic));
    TRY(read_real(root, "initializer_range", DEFAULT_INITIALIZER_RANGE, 0, 10, name, &config->initializer_range, diagnostic));
out:
    return status;
}

Status bert_config_check(const BertConfig *config, const char *name, Diagnostic *diagnostic)
{
    const struct {
        const char *key;
        int32_t value, maximum;
    } bounds[] = {
        {"vocab_size", config->vocab_size, 2000000},
        {"hidden_size", config->hidden_size, 8192},
        {"num_hidden_layers", config->num_hidden_layers, 128},
        {"num_attention_heads", config->num_attention_heads, 256},
        {"intermediate_size", config->intermediate_size, 65536},
        {"max_position_embeddings", config->max_position_embeddings, 65536},
        {"type_vocab_size", config->type_vocab_size, 65536},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        if (bounds[i].value < 1 || bounds[i].value > bounds[i].maximum)
            return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, 0, 0, "%s is %d, it must be from 1 to %d", bounds[i].key,
                           bounds[i].value, bounds[i].maximum);
    }
    if (config->hidden_size % config->num_attention_heads != 0)
        return FAIL_AT(diagnostic, STATUS_INVALID_INPUT, name, 0, 0, "hidden_size %d is not a multiple of num_attention_heads %d",
                       config->hidden_size, config->num_attention_heads);
    return STATUS_OK;
}

Status bert_config_read(BertConfig *config, const char *path, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    *config = (BertConfig){0};
    TRY(json_read_file(&config->source, path, CONFIG_FILE_LIMIT_BYTES, diagnostic));
    if (!json_is_object(config->source))
        TRY_FAIL(diagnostic, STATUS_INVALID_INPUT, "%s: a model's configuration is a JSON object", path);
    TRY(refuse_what_is_not_bert(config->source, path, diagnostic));
    TRY(read_numbers(config, config->source, path, diagnostic));
    TRY(bert_config_check(config, path, diagnostic));
    TRY(read_labels(config, config->source, path, diagnostic));
out:
    if (status != STATUS_OK)
        bert_config_free(config);
    return status;
}

static void free_labels(BertConfig *config)
{
    for (int32_t i = 0; config->labels && i < config->label_count; i++)
        free(config->labels[i]);
    free(config->labels);
    config->labels = NULL;
    config->label_count = 0;
}

void bert_config_set_labels(BertConfig *config, const char *const *labels, int32_t label_count)
{
    ASSERT(label_count >= 0);
    char **copies = memory_allocate(label_count ? (size_t)label_count : 1, sizeof *copies);
    for (int32_t i = 0; i < label_count; i++)
        copies[i] = memory_copy_string(labels[i]);
    free_labels(config);
    config->labels = copies;
    config->label_count = label_count;
}

void bert_config_copy(BertConfig *to, const BertConfig *from)
{
    *to = *from;
    to->labels = NULL;
    to->label_count = 0;
    bert_config_set_labels(to, (const char *const *)from->labels, from->label_count);
    to->source = from->source ? json_copy(from->source) : NULL;
}

void bert_config_free(BertConfig *config)
{
    free_labels(config);
    json_destroy(&config->source);
    *config = (BertConfig){0};
}

/* The shortest decimal that is this float, as a double: 0.1f is written 0.1 and not 0.10000000149011612. */
static double decimal_of_float(float value)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return strtod(text, NULL);
}

static void set_integer(Json *object, const char *key, int32_t value)
{
    if (json_integer_value(json_get(object, key), -1) != value)
        json_set(object, key, json_integer(value));
}

/* A number that still is what the source says keeps the source's digits. */
static void set_real(Json *object, const char *key, float value)
{
    const Json *known = json_get(object, key);
    if (!json_is_number(known) || (float)json_number_value(known, 0) != value)
        json_set(object, key, json_real(decimal_of_float(value)));
}

static void set_labels(Json *object, const BertConfig *config)
{
    Json *id2label = json_object(), *label2id = json_object();
    for (int32_t i = 0; i < config->label_count; i++) {
        char key[24];
        snprintf(key, sizeof key, "%d", i);
        json_set(id2label, key, json_string(config->labels[i]));
        json_set(label2id, config->labels[i], json_integer(i));
    }
    json_set(object, "id2label", id2label);
    json_set(object, "label2id", label2id);
}

Json *bert_config_json(const BertConfig *config)
{
    Json *object = config->source ? json_copy(config->source) : json_object();
    Json *architectures = json_array();
    json_append(architectures, json_string("BertForTokenClassification"));
    json_set(object, "architectures", architectures);
    json_set(object, "model_type", json_string("bert"));
    json_set(object, "torch_dtype", json_string("float32")); /* the name before Transformers 5 */
    json_set(object, "dtype", json_string("float32"));
    json_set(object, "hidden_act", json_string("gelu"));
    set_integer(object, "vocab_size", config->vocab_size);
    set_integer(object, "hidden_size", config->hidden_size);
    set_integer(object, "num_hidden_layers", config->num_hidden_layers);
    set_integer(object, "num_attention_heads", config->num_attention_heads);
    set_integer(object, "intermediate_size", config->intermediate_size);
    set_integer(object, "max_position_embeddings", config->max_position_embeddings);
    set_integer(object, "type_vocab_size", config->type_vocab_size);
    set_real(object, "hidden_dropout_prob", config->hidden_dropout_prob);
    set_real(object, "attention_probs_dropout_prob", config->attention_probs_dropout_prob);
    if (config->classifier_dropout == config->hidden_dropout_prob)
        json_set(object, "classifier_dropout", json_null());
    else
        set_real(object, "classifier_dropout", config->classifier_dropout);
    set_real(object, "layer_norm_eps", config->layer_norm_eps);
    set_real(object, "initializer_range", config->initializer_range);
    set_labels(object, config);
    return object;
}
