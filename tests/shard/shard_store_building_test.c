/* Builds that are interrupted, killed or out of space, several at once, and the memory that one takes. */
#include "project.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/io/file.h"

static volatile int stop;

static void stop_soon(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
    (void)context;
    stop = bytes_done * 4 > bytes_total * 3; /* in the second pass */
}

static void an_interrupted_build_leaves_what_was_there(void **state)
{
    Project *project = project_new(*state, "interrupted");
    project_source(project, "train", example("train.conll"));
    project->build.interrupted = &stop;
    project->build.progress = stop_soon;
    stop = 0;
    refuses(project, STATUS_INTERRUPTED, "interrupted");
    stop = 0;
    project->build.progress = NULL;
    must(project_build(project), &project->diagnostic);
    uint64_t before, after;
    must(read_all(project->shards, &before, &project->diagnostic), &project->diagnostic);
    project->build.options.stride = 3;
    project->build.progress = stop_soon;
    assert_int_equal(project_build(project), STATUS_INTERRUPTED);
    stop = 0;
    holds_only(project, "shards.mdb");
    must(read_all(project->shards, &after, &project->diagnostic), &project->diagnostic);
    assert_int_equal(before, after);
    project_free(&project);
}

/* Runs this program again as a builder of the small project's files with a fault set; returns its wait status. */
static int build_elsewhere(const Project *project, const char *fault)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("NERSWEEP_FAULT", fault, 1);
        execl("/proc/self/exe", "builder", "build", project->paths[0], project->vocabulary, project->shards, (char *)NULL);
        _exit(99);
    }
    int result;
    while (waitpid(child, &result, 0) < 0)
        assert_int_equal(errno, EINTR);
    return result;
}

static int builder_main(char **arguments)
{
    ShardSource source = {.split = "train", .path = arguments[0]};
    ShardBuild build = {.sources = &source, .source_count = 1, .vocab_path = arguments[1], .options = data_options()};
    build.options.stride = 7;
    Diagnostic diagnostic = {0};
    Status status = shard_store_build(&build, arguments[2], NULL, &diagnostic);
    if (status == STATUS_NO_SPACE && !strstr(diagnostic.message, "free some space"))
        return 98;
    return (int)status;
}

static void a_full_disk_is_said_and_the_old_shards_stay(void **state)
{
    Project *project = project_new(*state, "full");
    project_source(project, "train", example("train.conll"));
    int result = build_elsewhere(project, "shard.write:3:fail");
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), STATUS_NO_SPACE);
    holds_only(project, "");
    must(project_build(project), &project->diagnostic);
    uint64_t before, after;
    must(read_all(project->shards, &before, &project->diagnostic), &project->diagnostic);
    result = build_elsewhere(project, "shard.write:500:fail");
    assert_int_equal(WEXITSTATUS(result), STATUS_NO_SPACE);
    holds_only(project, "shards.mdb");
    must(read_all(project->shards, &after, &project->diagnostic), &project->diagnostic);
    assert_int_equal(before, after);
    project_free(&project);
}

static void what_a_killed_build_leaves_is_removed_by_the_next(void **state)
{
    static const char *const faults[] = {"shard.write:1:kill", "shard.write:500:kill", "shard.before_rename:1:kill"};
    Project *project = project_new(*state, "killed");
    project_source(project, "train", example("train.conll"));
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        int result = build_elsewhere(project, faults[i]);
        assert_true(WIFSIGNALED(result));
        char *names = listing(project);
        must_contain(names, "shards.mdb.tmp-");
        free(names);
        ShardStore *store = NULL;
        assert_int_equal(shard_store_open(&store, project->shards, &project->diagnostic), STATUS_NOT_FOUND);
        must_contain(project->diagnostic.message, "nersweep shard");
    }
    log_capture(project->folder);
    must(project_build(project), &project->diagnostic);
    free(log_captured(project->folder));
    holds_only(project, "shards.mdb");
    project_free(&project);
}

/* The most memory that a builder of its own process holds for `copies` of the example corpus, in KiB. */
static long build_memory_kib(const char *scratch, int copies)
{
    Project *project = project_new(scratch, copies > 1 ? "long" : "short");
    Text text = {0};
    size_t size;
    char *path = example("train.conll"), *bytes;
    must(file_read(path, 1 << 20, &bytes, &size, &project->diagnostic), &project->diagnostic);
    for (int i = 0; i < copies; i++) {
        text_append(&text, bytes, size);
        text_append(&text, "\n", 1);
    }
    project_source(project, "train", scratch_write_bytes(project->folder, "train.conll", text.bytes, text.size));
    free(bytes);
    free(path);
    text_free(&text);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "builder", "build", project->paths[0], project->vocabulary, project->shards, (char *)NULL);
        _exit(99);
    }
    struct rusage usage;
    int result;
    assert_int_equal(wait4(child, &result, 0, &usage), child);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    project_free(&project);
    return usage.ru_maxrss;
}

static void memory_does_not_grow_with_the_corpus(void **state)
{
    long small = build_memory_kib(*state, 1), large = build_memory_kib(*state, 60);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    assert_true(small > 0 && large > 0); /* these keep what was freed */
#else
    assert_true(large - small <
                12 * 1024); /* the shards are 30 MB; a transaction is 4 MiB, its tree and the reader's buffers come on top */
#endif
}

static void two_builders_at_once_make_one_store(void **state)
{
    Project *project = project_new(*state, "both");
    project_source(project, "train", example("train.conll"));
    pid_t children[3];
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            char *arguments[] = {project->paths[0], project->vocabulary, project->shards};
            _exit(builder_main(arguments));
        }
    }
    for (int i = 0; i < 3; i++) {
        int result;
        assert_int_equal(waitpid(children[i], &result, 0), children[i]);
        assert_true(WIFEXITED(result));
        assert_int_equal(WEXITSTATUS(result), 0);
    }
    uint64_t digest;
    must(read_all(project->shards, &digest, &project->diagnostic), &project->diagnostic);
    holds_only(project, "shards.mdb");
    project_free(&project);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "build") == 0)
        return builder_main(argv + 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupted_build_leaves_what_was_there),
        cmocka_unit_test(a_full_disk_is_said_and_the_old_shards_stay),
        cmocka_unit_test(what_a_killed_build_leaves_is_removed_by_the_next),
        cmocka_unit_test(memory_does_not_grow_with_the_corpus),
        cmocka_unit_test(two_builders_at_once_make_one_store),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
