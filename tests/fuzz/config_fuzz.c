/* config.json: what is accepted is within its bounds, and is the same after it was written and read again. */
#include <stdlib.h>
#include <string.h>

#include "model/config.h"
#include "tests/fuzz/harness.h"

static void check_again(const BertConfig *config)
{
    Json *json = bert_config_json(config);
    char *text = json_text(json, JSON_INDENTED), *path = fuzz_write("again.json", text, strlen(text));
    BertConfig again;
    Status status = bert_config_read(&again, path, NULL);
    ASSERT(status == STATUS_OK);
    ASSERT(again.hidden_size == config->hidden_size && again.label_count == config->label_count &&
           again.layer_norm_eps == config->layer_norm_eps && again.classifier_dropout == config->classifier_dropout);
    for (int32_t i = 0; i < config->label_count; i++)
        ASSERT(strcmp(again.labels[i], config->labels[i]) == 0);
    bert_config_free(&again);
    json_destroy(&json);
    free(text);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *path = fuzz_write("config.json", bytes, size);
    BertConfig config;
    Diagnostic diagnostic = {0};
    Status status = bert_config_read(&config, path, &diagnostic);
    if (status == STATUS_OK) {
        ASSERT(bert_config_check(&config, path, &diagnostic) == STATUS_OK);
        check_again(&config);
    } else {
        fuzz_check_refusal(status, &diagnostic, path);
    }
    bert_config_free(&config);
    free(path);
    return 0;
}
