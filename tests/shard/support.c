#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/file.h"

int scratch_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    char *folder = memory_format("%s/nersweep-shard-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    *state = folder;
    return 0;
}

static Arena *arena;

Arena *scratch_arena(void)
{
    if (!arena)
        arena = arena_create(1 << 14);
    return arena;
}

int scratch_teardown(void **state)
{
    arena_destroy(&arena);
    Diagnostic diagnostic = {0};
    Status status = folder_remove_tree(*state, &diagnostic);
    free(*state);
    return status == STATUS_OK ? 0 : -1;
}

char *scratch_write_bytes(const char *folder, const char *name, const char *bytes, size_t size)
{
    char *path = path_join(folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

char *scratch_write(const char *folder, const char *name, const char *text)
{
    return scratch_write_bytes(folder, name, text, strlen(text));
}

void must(Status status, const Diagnostic *diagnostic)
{
    char text[DIAGNOSTIC_MESSAGE_SIZE + DIAGNOSTIC_PLACE_SIZE];
    if (status != STATUS_OK)
        fail_msg("%s: %s", status_name(status), diagnostic_format(diagnostic, text, sizeof text));
}

void must_contain(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not hold \"%s\"", text, part);
}

char *vocabulary_write(const char *folder, const char *const *words)
{
    Text text = {0};
    text_append_string(&text, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (int c = '!'; c <= '~'; c++)
        text_format(&text, "%c\n##%c\n", c, c);
    for (size_t i = 0; words && words[i]; i++)
        text_format(&text, "%s\n", words[i]);
    char *path = scratch_write(folder, "vocab.txt", text.bytes);
    text_free(&text);
    return path;
}

void log_capture(const char *folder)
{
    char *path = path_join(folder, "log.txt");
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(file > 2);
    log_set_file_descriptor(file);
    free(path);
}

char *log_captured(const char *folder)
{
    Diagnostic diagnostic = {0};
    char *path = path_join(folder, "log.txt"), *text;
    size_t size;
    log_set_file_descriptor(2);
    must(file_read(path, 1 << 20, &text, &size, &diagnostic), &diagnostic);
    free(path);
    return text;
}

DataOptions data_options(void)
{
    DataOptions options;
    options_set_defaults(data_option_table(), &options);
    return options;
}

ShardStore *store_of(const char *folder, const char *train, const char *dev)
{
    Diagnostic diagnostic = {0};
    char *vocabulary = vocabulary_write(folder, NULL), *shards = path_join(folder, "shards");
    ShardSource sources[2] = {{.split = "train", .path = train}, {.split = "dev", .path = dev}};
    ShardBuild build = {.sources = sources, .source_count = dev ? 2 : 1, .vocab_path = vocabulary, .options = data_options()};
    build.options.max_seq_length = 32;
    build.options.stride = 8;
    ShardStore *store = NULL;
    must(shard_store_build(&build, shards, NULL, &diagnostic), &diagnostic);
    must(shard_store_open(&store, shards, &diagnostic), &diagnostic);
    free(vocabulary);
    free(shards);
    return store;
}

char *shared_data(void)
{
    const char *given = getenv("NERSWEEP_SHARED_DATA");
    char *path = given ? memory_copy_string(given) : path_join(NERSWEEP_SOURCE_DIR, "../shared/data");
    if (path_is_folder(path))
        return path;
    free(path);
    return NULL;
}
