#include "project.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "core/io/file.h"
#include "core/io/hash.h"

Project *project_new(const char *scratch, const char *name)
{
    Project *project = memory_allocate(1, sizeof *project);
    project->folder = path_join(scratch, name);
    assert_int_equal(mkdir(project->folder, 0777), 0);
    project->shards = path_join(project->folder, "shards");
    project->vocabulary = vocabulary_write(project->folder, NULL);
    project->build = (ShardBuild){.sources = project->sources, .vocab_path = project->vocabulary, .options = data_options()};
    return project;
}

void project_source(Project *project, const char *split, char *path)
{
    size_t at = project->build.source_count++;
    project->paths[at] = path;
    project->sources[at] = (ShardSource){.split = split, .path = path};
}

void project_text(Project *project, const char *split, const char *file, const char *text)
{
    project_source(project, split, scratch_write(project->folder, file, text));
}

Status project_build(Project *project)
{
    project->diagnostic = (Diagnostic){0};
    return shard_store_build(&project->build, project->shards, &project->summary, &project->diagnostic);
}

ShardStore *project_open(Project *project)
{
    ShardStore *store = NULL;
    must(project_build(project), &project->diagnostic);
    must(shard_store_open(&store, project->shards, &project->diagnostic), &project->diagnostic);
    return store;
}

void project_free(Project **project)
{
    for (size_t i = 0; i < (*project)->build.source_count; i++)
        free((*project)->paths[i]);
    free((*project)->folder);
    free((*project)->shards);
    free((*project)->vocabulary);
    free(*project);
    *project = NULL;
}

Project *small_project(const char *scratch, const char *name)
{
    Project *project = project_new(scratch, name);
    project_text(project, "train", "train.conll", SMALL_TRAIN);
    project_text(project, "dev", "dev.conll", SMALL_DEV);
    return project;
}

char *example(const char *name)
{
    return memory_format("%s/examples/%s", NERSWEEP_SOURCE_DIR, name);
}

char *listing(const Project *project)
{
    Text text = {0};
    StringArray names = {0};
    Diagnostic diagnostic = {0};
    text_append(&text, "", 0);
    if (path_exists(project->shards))
        must(folder_list(project->shards, &names, &diagnostic), &diagnostic);
    for (size_t i = 0; i < names.count; i++)
        text_format(&text, "%s%s", i ? " " : "", names.items[i]);
    string_array_free(&names);
    return text_take(&text);
}

void holds_only(const Project *project, const char *expected)
{
    char *names = listing(project);
    assert_string_equal(names, expected);
    free(names);
}

void refuses(Project *project, Status expected, const char *part)
{
    assert_int_equal(project_build(project), expected);
    must_contain(project->diagnostic.message, part);
    holds_only(project, "");
    assert_false(path_exists(project->shards));
}

Status read_all(const char *folder, uint64_t *digest, Diagnostic *diagnostic)
{
    ShardStore *store = NULL;
    Text all = {0};
    Status status = shard_store_open(&store, folder, diagnostic);
    if (status != STATUS_OK)
        return status;
    Arena *arena = arena_create(1 << 14);
    text_format(&all, "%s %s %d %d", shard_store_identity(store), shard_store_vocab_sha256(store), (int)shard_store_scheme(store),
                (int)shard_store_words(store));
    for (int32_t split = 0; split < shard_split_count(store); split++) {
        text_append_string(&all, shard_split_name(store, split));
        text_append(&all, (const char *)shard_window_infos(store, split),
                    (size_t)shard_window_count(store, split) * sizeof(ShardWindowInfo));
        for (int64_t i = 0; i < shard_window_count(store, split); i++) {
            ShardWindow window;
            TRY(shard_window_read(store, split, i, arena, &window, diagnostic));
            text_append(&all, (const char *)window.ids, 3 * sizeof(int32_t) * (size_t)window.length);
            text_format(&all, "%d %lld %d %d", window.length, (long long)window.sequence, window.owned_first, window.owned_end);
        }
        for (int64_t i = 0; i < shard_sequence_count(store, split); i++) {
            ShardSequence sequence;
            TRY(shard_sequence_read(store, split, i, arena, &sequence, diagnostic));
            text_append(&all, (const char *)sequence.gold, sizeof(int32_t) * (size_t)sequence.token_count);
            text_append(&all, sequence.text, sequence.text_offsets[sequence.token_count]);
            text_format(&all, "%lld %d %lld", (long long)sequence.first_window, sequence.window_count, (long long)sequence.line);
        }
    }
    *digest = checksum64(all.bytes, all.size);
out:
    text_free(&all);
    arena_destroy(&arena);
    shard_store_close(&store);
    return status;
}
