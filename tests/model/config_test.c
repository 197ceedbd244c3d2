/* config.json, the parameter layout and random start weights. */
#include "tests/model/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/io/file.h"

#define SIZES "\"vocab_size\":50,\"hidden_size\":16,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"intermediate_size\":24"

static Status read_text(BertConfig *config, const char *text, Diagnostic *diagnostic)
{
    char *folder = support_folder("config"), *path = path_join(folder, "config.json");
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    Status status = bert_config_read(config, path, diagnostic);
    free(path);
    free(folder);
    return status;
}

static void refuse(const char *text, Status wanted, const char *message)
{
    BertConfig config;
    Diagnostic diagnostic = {0};
    ASSERT_FAILS(read_text(&config, text, &diagnostic), wanted, &diagnostic, message);
    assert_null(config.source);
    assert_null(config.labels);
}

static void defaults_are_those_of_hugging_face(void **state)
{
    (void)state;
    BertConfig config;
    Diagnostic diagnostic = {0};
    ASSERT_OK(read_text(&config, "{" SIZES ",\"hidden_dropout_prob\":0.25,\"classifier_dropout\":null}", &diagnostic), &diagnostic);
    assert_int_equal(config.max_position_embeddings, 512);
    assert_int_equal(config.type_vocab_size, 2);
    assert_true(config.hidden_dropout_prob == 0.25f && config.classifier_dropout == 0.25f);
    assert_true(config.attention_probs_dropout_prob == 0.1f && config.layer_norm_eps == 1e-12f);
    assert_int_equal(config.label_count, 0);
    bert_config_free(&config);
}

static void unknown_keys_survive_and_the_head_is_a_token_classifier(void **state)
{
    (void)state;
    BertConfig config, copy;
    Diagnostic diagnostic = {0};
    static const char *const labels[] = {"O", "B-\"x\"", "I-\xc3\xa9"};
    ASSERT_OK(read_text(&config,
                        "{" SIZES ",\"architectures\":[\"BertModel\"],\"pad_token_id\":7,\"hidden_dropout_prob\":0.1,"
                        "\"id2label\":{\"1\":\"B\",\"0\":\"A\"},\"something\":{\"else\":[1,2]}}",
                        &diagnostic),
              &diagnostic);
    assert_int_equal(config.label_count, 2);
    assert_string_equal(config.labels[1], "B");
    bert_config_set_labels(&config, labels, 3);
    bert_config_copy(&copy, &config);
    bert_config_free(&config);
    Json *json = bert_config_json(&copy);
    assert_string_equal(json_string_value(json_at(json_get(json, "architectures"), 0)), "BertForTokenClassification");
    assert_int_equal(json_count(json_get(json, "architectures")), 1);
    assert_int_equal(json_integer_value(json_get(json, "pad_token_id"), 0), 7);
    assert_int_equal(json_count(json_get(json_get(json, "something"), "else")), 2);
    assert_string_equal(json_string_value(json_get(json_get(json, "id2label"), "2")), labels[2]);
    assert_int_equal(json_integer_value(json_get(json_get(json, "label2id"), labels[1]), -1), 1);
    assert_string_equal(json_string_value(json_get(json, "torch_dtype")), "float32");
    assert_true(json_number_value(json_get(json, "hidden_dropout_prob"), 0) == 0.1);
    json_destroy(&json);
    bert_config_free(&copy);
}

static void other_architectures_are_refused_by_name(void **state)
{
    (void)state;
    refuse("{" SIZES ",\"model_type\":\"roberta\"}", STATUS_UNSUPPORTED, "roberta");
    refuse("{" SIZES ",\"hidden_act\":\"gelu_new\"}", STATUS_UNSUPPORTED, "gelu_new");
    refuse("{" SIZES ",\"position_embedding_type\":\"relative_key\"}", STATUS_UNSUPPORTED, "relative_key");
    refuse("{" SIZES ",\"is_decoder\":true}", STATUS_UNSUPPORTED, "is_decoder");
}

static void values_out_of_bounds_are_refused(void **state)
{
    (void)state;
    refuse("{\"vocab_size\":50,\"hidden_size\":16,\"num_hidden_layers\":0,\"num_attention_heads\":4,\"intermediate_size\":24}",
           STATUS_INVALID_INPUT, "num_hidden_layers");
    refuse("{\"vocab_size\":50,\"hidden_size\":18,\"num_hidden_layers\":1,\"num_attention_heads\":4,\"intermediate_size\":24}",
           STATUS_INVALID_INPUT, "multiple");
    refuse("{\"vocab_size\":2000001,\"hidden_size\":16,\"num_hidden_layers\":1,\"num_attention_heads\":4,\"intermediate_size\":24}",
           STATUS_INVALID_INPUT, "vocab_size");
    refuse("{\"hidden_size\":16,\"num_hidden_layers\":1,\"num_attention_heads\":4,\"intermediate_size\":24}", STATUS_INVALID_INPUT,
           "vocab_size");
    refuse("{" SIZES ",\"max_position_embeddings\":100000}", STATUS_INVALID_INPUT, "max_position_embeddings");
    refuse("{" SIZES ",\"hidden_dropout_prob\":1}", STATUS_INVALID_INPUT, "hidden_dropout_prob");
    refuse("{" SIZES ",\"layer_norm_eps\":-1}", STATUS_INVALID_INPUT, "layer_norm_eps");
    refuse("{" SIZES ",\"id2label\":{\"0\":\"O\",\"2\":\"X\"}}", STATUS_INVALID_INPUT, "none for id 1");
    refuse("{" SIZES ",\"id2label\":[\"O\"]}", STATUS_INVALID_INPUT, "id2label");
    refuse("[]", STATUS_INVALID_INPUT, "object");
}

static void parameters_stand_in_order_and_projections_together(void **state)
{
    (void)state;
    static const int32_t hidden_sizes[] = {16, 20}; /* 20 * 20 and 20 are no multiples of 16 */
    for (size_t h = 0; h < 2; h++) {
        BertConfig config = support_tiny_config(0);
        ModelLayout *layout = NULL;
        Diagnostic diagnostic = {0};
        config.hidden_size = hidden_sizes[h];
        ASSERT_OK(model_layout_create(&layout, &config, &diagnostic), &diagnostic);
        size_t d = (size_t)config.hidden_size, end = 0;
        assert_int_equal(layout->part_count, 4);
        for (int32_t i = 0; i < layout->parameter_count; i++) {
            const ModelParameter *parameter = &layout->parameters[i];
            bool joined = strstr(parameter->name, ".key.") || strstr(parameter->name, ".value.");
            assert_true(parameter->offset >= end && parameter->offset < end + 16);
            assert_true(joined ? parameter->offset == end : parameter->offset % 16 == 0);
            assert_in_range(parameter->offset, layout->part_offset[parameter->part], layout->part_offset[parameter->part + 1] - 1);
            bool plain = strstr(parameter->name, "bias") || strstr(parameter->name, "LayerNorm");
            assert_int_equal(parameter->decays, !plain);
            end = parameter->offset + parameter->count;
        }
        assert_true(layout->float_count >= end && layout->part_offset[4] == layout->float_count);
        const ModelParameter *query = model_layout_find(layout, "bert.encoder.layer.1.attention.self.query.weight");
        assert_int_equal(query->part, 2);
        assert_true(model_layout_find(layout, "bert.encoder.layer.1.attention.self.value.weight")->offset ==
                    query->offset + 2 * d * d);
        assert_null(model_layout_find(layout, "bert.pooler.dense.weight"));
        model_layout_destroy(&layout);
        bert_config_free(&config);
    }
}

static void a_model_without_labels_is_refused(void **state)
{
    (void)state;
    BertConfig config = support_tiny_config(0);
    ModelLayout *layout = NULL;
    Diagnostic diagnostic = {0};
    bert_config_set_labels(&config, NULL, 0);
    ASSERT_FAILS(model_layout_create(&layout, &config, &diagnostic), STATUS_INVALID_INPUT, &diagnostic, "label");
    bert_config_free(&config);
}

static void start_weights_are_normal_and_follow_the_seed(void **state)
{
    (void)state;
    BertConfig config = support_tiny_config(0);
    config.vocab_size = 5000;
    config.initializer_range = 0.02f;
    TinyModel tiny = support_model(backend_reference(), &config, 3);
    Diagnostic diagnostic = {0};
    const ModelLayout *layout = model_layout(tiny.model);
    ASSERT_OK(model_initialize(tiny.model, 1, false, &diagnostic), &diagnostic);
    float *first = support_parameters(tiny.model);
    ASSERT_OK(model_initialize(tiny.model, 2, true, &diagnostic), &diagnostic);
    float *head = support_parameters(tiny.model);
    ASSERT_OK(model_initialize(tiny.model, 1, false, &diagnostic), &diagnostic);
    float *again = support_parameters(tiny.model);
    size_t border = layout->part_offset[layout->part_count - 1];
    assert_memory_equal(first, again, layout->float_count * sizeof *first);
    assert_memory_equal(first, head, border * sizeof *first);
    assert_memory_not_equal(first + border, head + border, (layout->float_count - border) * sizeof *first);

    const ModelParameter *word = &layout->parameters[0];
    double sum = 0, squares = 0, fourth = 0;
    size_t count = word->count - 16;
    for (size_t i = 0; i < word->count; i++) {
        double x = (double)first[word->offset + i] / 0.02;
        assert_true(i >= 16 || x == 0); /* the padding row */
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
    }
    double n = (double)count; /* 79,984: standard errors 0.0035, 0.005, 0.035 */
    assert_true(fabs(sum / n) < 0.015 && fabs(squares / n - 1) < 0.02 && fabs(fourth / n - 3) < 0.15);
    const ModelParameter *norm = model_layout_find(layout, "bert.encoder.layer.1.output.LayerNorm.weight");
    assert_true(first[norm->offset + 3] == 1 && first[model_layout_find(layout, "classifier.bias")->offset] == 0);
    free(first);
    free(head);
    free(again);
    support_model_free(&tiny);
    bert_config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_hugging_face),
        cmocka_unit_test(unknown_keys_survive_and_the_head_is_a_token_classifier),
        cmocka_unit_test(other_architectures_are_refused_by_name),
        cmocka_unit_test(values_out_of_bounds_are_refused),
        cmocka_unit_test(parameters_stand_in_order_and_projections_together),
        cmocka_unit_test(a_model_without_labels_is_refused),
        cmocka_unit_test(start_weights_are_normal_and_follow_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
