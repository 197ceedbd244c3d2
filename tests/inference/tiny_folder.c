#include "tests/inference/tiny_folder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/folder.h"

const char *const TINY_LABELS[] = {"O", "B-LOC", "I-LOC", "B-PER", "I-PER"};

void tiny_folder_write(const char *folder, const char *name, const char *text)
{
    Diagnostic diagnostic = {0};
    char *path = path_join(folder, name);
    if (text)
        ASSERT_OK(file_write_durable(file_system_posix(), path, text, strlen(text), &diagnostic), &diagnostic);
    else
        assert_int_equal(unlink(path), 0);
    free(path);
}

void tiny_folder_edit(const char *folder, const char *name, const char *old, const char *new)
{
    Diagnostic diagnostic = {0};
    char *path = path_join(folder, name), *bytes = NULL;
    size_t size;
    ASSERT_OK(file_read(path, 1 << 20, &bytes, &size, &diagnostic), &diagnostic);
    char *at = strstr(bytes, old);
    assert_non_null(at);
    char *edited = memory_format("%.*s%s%s", (int)(at - bytes), bytes, new, at + strlen(old));
    tiny_folder_write(folder, name, edited);
    free(edited);
    free(bytes);
    free(path);
}

static int32_t write_vocabulary(const char *folder)
{
    Text text = {0};
    int32_t count = 5;
    text_append_string(&text, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (int c = '!'; c <= '~'; c++) {
        if (c >= 'A' && c <= 'Z')
            continue;
        text_format(&text, "%c\n##%c\n", c, c);
        count += 2;
    }
    for (int c = 'a'; c <= 'z'; c++, count++)
        text_format(&text, "k%c\n", c);
    tiny_folder_write(folder, "vocab.txt", text.bytes);
    text_free(&text);
    return count;
}

/* Without position embeddings and attention a piece does not see the others. */
static void remove_context(const ModelLayout *layout, float *values)
{
    for (int32_t i = 0; i < layout->parameter_count; i++) {
        const ModelParameter *parameter = &layout->parameters[i];
        if (strstr(parameter->name, "attention.output.dense") || strstr(parameter->name, "position_embeddings"))
            memset(values + parameter->offset, 0, parameter->count * sizeof *values);
    }
}

char *tiny_folder_make(const char *name, bool context_free)
{
    Diagnostic diagnostic = {0};
    char *folder = support_folder(name), *source = memory_format("%s-source", folder);
    ASSERT_OK(folder_create(file_system_posix(), source, &diagnostic), &diagnostic);
    BertConfig config = support_tiny_config(0);
    bert_config_set_labels(&config, TINY_LABELS, TINY_LABEL_COUNT);
    config.max_position_embeddings = TINY_POSITIONS;
    config.vocab_size = write_vocabulary(source);
    TinyModel tiny = support_model(support_backend("reference"), &config, 11);
    const ModelLayout *layout = model_layout(tiny.model);
    float *values = support_parameters(tiny.model);
    if (context_free)
        remove_context(layout, values);
    Json *notes = json_object();
    json_set(notes, "format", json_integer(1));
    json_set(notes, "scheme", json_string("IOB2"));
    json_set(notes, "words", json_string("treebank"));
    json_set(notes, "max_seq_length", json_integer(TINY_POSITIONS));
    json_set(notes, "stride", json_integer(8));
    ASSERT_OK(
        model_folder_write(folder, &config, layout, values, source, true, TINY_POSITIONS, notes, file_system_posix(), &diagnostic),
        &diagnostic);
    ASSERT_OK(folder_remove_tree(source, &diagnostic), &diagnostic);
    json_destroy(&notes);
    free(values);
    support_model_free(&tiny);
    bert_config_free(&config);
    free(source);
    return folder;
}
