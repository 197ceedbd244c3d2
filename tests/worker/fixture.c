#include "tests/worker/fixture.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/file.h"
#include "core/store/store.h"

enum { FILE_LIMIT = 1 << 26, ARGUMENT_LIMIT = 64 };

extern char **environ;

void must(Status status, const Diagnostic *diagnostic)
{
    if (status == STATUS_OK)
        return;
    fail_msg("%s: %s (%s:%d)", status_name(status), diagnostic->message, diagnostic->source_file ? diagnostic->source_file : "?",
             diagnostic->source_line);
}

static void write_text(const char *path, const char *text)
{
    Diagnostic diagnostic = {0};
    must(file_write_durable(file_system_posix(), path, text, strlen(text), &diagnostic), &diagnostic);
}

static char *read_text(const char *path)
{
    char *text;
    size_t size;
    Diagnostic diagnostic = {0};
    must(file_read(path, FILE_LIMIT, &text, &size, &diagnostic), &diagnostic);
    return text;
}

/* The first `sentences` sentences of a file of examples/, without the first `skipped`. */
static char *take_sentences(const Ground *ground, const char *example, int skipped, int sentences, const char *name)
{
    char *from = memory_format("%s/examples/%s", NERSWEEP_SOURCE_DIR, example), *to = path_join(ground->folder, name);
    char *text = read_text(from), *start = text, *end;
    for (; skipped > 0; skipped--)
        start = strstr(start, "\n\n") + 2;
    for (end = start; sentences > 0; sentences--)
        end = strstr(end, "\n\n") + 2;
    *end = '\0';
    write_text(to, start);
    free(text);
    free(from);
    return to;
}

/* Special pieces, every printable character as first and later piece, and some frequent words. */
static int32_t write_vocabulary(const char *path)
{
    static const char *const words[] = {"the",  "of", "in", "and",  "a",   "to",  "was", "for",
                                        "with", "on", "at", "said", "new", "her", "his"};
    Text text = {0};
    int32_t count = 5;
    text_append_string(&text, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (char c = '!'; c <= '~'; c++, count++)
        text_format(&text, "%c\n", c);
    for (char c = '!'; c <= '~'; c++, count++)
        text_format(&text, "##%c\n", c);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++, count++) {
        if (strlen(words[i]) == 1)
            count--;
        else
            text_format(&text, "%s\n", words[i]);
    }
    write_text(path, text.bytes);
    text_free(&text);
    return count;
}

void ground_write_model(const Ground *ground, int32_t hidden_size, int32_t intermediate_size)
{
    Diagnostic diagnostic = {0};
    must(folder_remove_tree(ground->model, &diagnostic), &diagnostic);
    must(folder_create(file_system_posix(), ground->model, &diagnostic), &diagnostic);
    char *vocab = path_join(ground->model, "vocab.txt"), *config = path_join(ground->model, "config.json");
    int32_t vocab_size = write_vocabulary(vocab);
    char *text = memory_format("{\"model_type\": \"bert\", \"vocab_size\": %d, \"hidden_size\": %d, \"num_hidden_layers\": 2, "
                               "\"num_attention_heads\": 2, \"intermediate_size\": %d, \"max_position_embeddings\": 256, "
                               "\"type_vocab_size\": 2, \"hidden_act\": \"gelu\", \"hidden_dropout_prob\": 0.1, "
                               "\"attention_probs_dropout_prob\": 0.1, \"layer_norm_eps\": 1e-12, \"initializer_range\": 0.02}",
                               vocab_size, hidden_size, intermediate_size);
    write_text(config, text);
    free(text);
    free(vocab);
    free(config);
}

char *ground_make_shards(const Ground *ground, const char *name, int64_t max_seq_length)
{
    Diagnostic diagnostic = {0};
    ShardSummary summary;
    char *train = take_sentences(ground, "train.conll", 0, 40, "train.conll"),
         *dev = take_sentences(ground, "dev.conll", 0, 16, "dev.conll");
    char *other = take_sentences(ground, "dev.conll", 16, 9, "other.conll"),
         *test = take_sentences(ground, "test.conll", 0, 12, "test.conll");
    char *vocab = path_join(ground->model, "vocab.txt"), *folder = path_join(ground->folder, name);
    ShardSource sources[] = {{.split = "train", .path = train},
                             {.split = "dev:dev", .path = dev},
                             {.split = "dev:other", .path = other},
                             {.split = "test", .path = test}};
    ShardBuild build = {.sources = sources, .source_count = 4, .vocab_path = vocab, .lowercase = true};
    options_set_defaults(data_option_table(), &build.options);
    build.options.max_seq_length = max_seq_length;
    build.options.stride = max_seq_length / 4;
    must(shard_store_build(&build, folder, &summary, &diagnostic), &diagnostic);
    char *all[] = {train, dev, other, test, vocab};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    return folder;
}

char *ground_make_weighted_shards(const Ground *ground, const char *name, const char *pseudo, double weight)
{
    Diagnostic diagnostic = {0};
    char *gold = take_sentences(ground, "train.conll", 0, 4, "gold.conll"), *labelled = path_join(ground->folder, "pseudo.conll");
    char *vocab = path_join(ground->model, "vocab.txt"), *folder = path_join(ground->folder, name);
    write_text(labelled, pseudo);
    ShardSource sources[] = {{.split = "train", .path = gold}, {.split = "train", .path = labelled, .kind = SHARD_PSEUDO}};
    ShardBuild build = {
        .sources = sources, .source_count = pseudo[0] ? 2 : 1, .vocab_path = vocab, .lowercase = true, .lowercase_given = true};
    options_set_defaults(data_option_table(), &build.options);
    build.options.max_seq_length = 128;
    build.options.pseudo_weight = weight;
    must(shard_store_build(&build, folder, NULL, &diagnostic), &diagnostic);
    free(gold);
    free(labelled);
    free(vocab);
    return folder;
}

int ground_setup(void **state)
{
    log_set_level(LOG_ERROR);
    Ground *ground = memory_allocate(1, sizeof *ground);
    char template[] = "/tmp/nersweep-test-worker-XXXXXX";
    assert_non_null(mkdtemp(template));
    ground->folder = memory_copy_string(template);
    ground->model = path_join(ground->folder, "model");
    ground_write_model(ground, 16, 32);
    ground->shards = ground_make_shards(ground, "shards", 200);
    *state = ground;
    return 0;
}

int ground_teardown(void **state)
{
    Ground *ground = *state;
    Diagnostic diagnostic = {0};
    if (!getenv("NERSWEEP_TEST_KEEP"))
        must(folder_remove_tree(ground->folder, &diagnostic), &diagnostic);
    free(ground->folder);
    free(ground->model);
    free(ground->shards);
    free(ground);
    return 0;
}

TrainingOptions ground_options(const char *overrides)
{
    static const char defaults[] =
        "num_train_epochs=2 per_device_train_batch_size=8 learning_rate=0.003 eval_steps=3 save_total_limit=100";
    TrainingOptions options;
    Diagnostic diagnostic = {0};
    options_set_defaults(training_option_table(), &options);
    char *text = memory_format("%s %s", defaults, overrides), *rest = text;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(word, '=');
        assert_non_null(value);
        *value++ = '\0';
        const OptionDescriptor *descriptor = option_find(training_option_table(), word);
        assert_non_null(descriptor);
        must(option_set(descriptor, &options, value, &diagnostic), &diagnostic);
    }
    free(text);
    return options;
}

void ground_workplace(const Ground *ground, Communicator *communicator, const char *store_name, Workplace *workplace)
{
    Diagnostic diagnostic = {0};
    WorkplaceOptions options = {.backend = "reference", .threads = 1};
    TrainingData data = {
        .model = ground->model, .random_weights = true, .shards = ground->shards, .store = path_join(ground->folder, store_name)};
    must(workplace_open(workplace, communicator, &options, &diagnostic), &diagnostic);
    must(workplace_set_data(workplace, &data, &diagnostic), &diagnostic);
    free(data.store);
}

Model *ground_start_model(const Ground *ground, Communicator *communicator, const char *store_name, const TrainingOptions *options,
                          Workplace *workplace)
{
    Diagnostic diagnostic = {0};
    Model *model;
    char hex[17];
    ground_workplace(ground, communicator, store_name, workplace);
    must(workplace_start_model(workplace, options, &model, hex, &diagnostic), &diagnostic);
    return model;
}

char *ground_write_job(const Ground *ground, const char *name, const char *overrides, bool evaluate, bool test)
{
    TrainingOptions options = ground_options(overrides);
    Json *job = json_object(), *metric = json_object();
    char *store = path_join(ground->folder, name), *path = memory_format("%s.json", store);
    json_set(metric, "name", json_string("f1"));
    json_set(metric, "goal", json_string("maximize"));
    json_set(metric, "dataset", json_string("mean"));
    json_set(job, "kind", json_string("train"));
    json_set(job, "model", json_string(ground->model));
    json_set(job, "random_weights", json_boolean(true));
    json_set(job, "shards", json_string(ground->shards));
    json_set(job, "store", json_string(store));
    json_set(job, "trial", json_integer(0));
    json_set(job, "options", options_to_json(training_option_table(), &options));
    json_set(job, "metric", metric);
    json_set(job, "evaluate", json_boolean(evaluate));
    json_set(job, "test", json_boolean(test));
    char *text = json_text(job, JSON_INDENTED);
    write_text(path, text);
    free(text);
    free(store);
    json_destroy(&job);
    return path;
}

static char **make_environment(const char *const *extra)
{
    size_t count = 0, extras = 0;
    while (environ[count])
        count++;
    while (extra && extra[extras])
        extras++;
    char **all = memory_allocate(count + extras + 1, sizeof *all);
    for (size_t i = 0; i < extras; i++)
        all[i] = (char *)(uintptr_t)extra[i];
    memcpy(all + extras, environ, count * sizeof *all);
    return all;
}

int program_start(const Ground *ground, const char *const *arguments, const char *const *environment)
{
    pid_t pid;
    posix_spawn_file_actions_t actions;
    char *errors = path_join(ground->folder, "stderr"), **all = make_environment(environment);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    int error = posix_spawnp(&pid, arguments[0], &actions, NULL, (char *const *)(uintptr_t)arguments, all);
    posix_spawn_file_actions_destroy(&actions);
    free(errors);
    free(all);
    assert_int_equal(error, 0);
    return pid;
}

int program_wait(int pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int program_run(const Ground *ground, const char *const *arguments, const char *const *environment)
{
    return program_wait(program_start(ground, arguments, environment));
}

char *program_errors(const Ground *ground)
{
    char *path = path_join(ground->folder, "stderr"), *text = read_text(path);
    free(path);
    return text;
}

const char *worker_program(void)
{
    return NERSWEEP_BINARY_DIR "/bin/nersweep-worker";
}

int job_program_run(const Ground *ground, const char *name, const char *const *environment)
{
    char *job = memory_format("%s/%s.json", ground->folder, name),
         *result = memory_format("%s/%s.result.json", ground->folder, name);
    const char *arguments[] = {worker_program(), "--job",     job,         "--result", result,
                               "--backend",      "reference", "--threads", "1",        NULL};
    int code = program_run(ground, arguments, environment);
    free(job);
    free(result);
    return code;
}

Json *job_result(const Ground *ground, const char *name)
{
    Diagnostic diagnostic = {0};
    Json *json;
    char *path = memory_format("%s/%s.result.json", ground->folder, name);
    must(json_read_file(&json, path, FILE_LIMIT, &diagnostic), &diagnostic);
    free(path);
    return json;
}

char *manifest_text(const char *store_folder, const char *checkpoint)
{
    Diagnostic diagnostic = {0};
    Store *store;
    StoreManifest manifest = {0};
    Text text = {0};
    must(store_open(&store, store_folder, file_system_posix(), &diagnostic), &diagnostic);
    must(store_manifest_get(store, checkpoint, &manifest, &diagnostic), &diagnostic);
    for (size_t i = 0; i < manifest.files.count; i++)
        text_format(&text, "%s %s\n", manifest.files.items[i].name, manifest.files.items[i].sha256);
    store_manifest_free(&manifest);
    store_close(&store);
    return text_take(&text);
}

char *manifest_names(const char *store_folder)
{
    Diagnostic diagnostic = {0};
    Store *store;
    StringArray names = {0};
    Text text = {0};
    must(store_open(&store, store_folder, file_system_posix(), &diagnostic), &diagnostic);
    must(store_manifest_list(store, "", &names, &diagnostic), &diagnostic);
    for (size_t i = 0; i < names.count; i++)
        text_format(&text, "%s\n", names.items[i]);
    string_array_free(&names);
    store_close(&store);
    return text_take(&text);
}

const char *job_checkpoint(const Json *result, const char *which)
{
    const char *name = json_string_value(json_get(json_get(result, which), "checkpoint"));
    assert_non_null(name);
    return name;
}

/* The evaluations and the bytes of best and last are those of another run. */
void job_set(const Ground *ground, const char *name, const char *key, Json *value)
{
    char *path = memory_format("%s/%s.json", ground->folder, name);
    Json *job = NULL;
    Diagnostic diagnostic = {0};
    must(json_read_file(&job, path, 1 << 20, &diagnostic), &diagnostic);
    json_set(job, key, value);
    char *text = json_text(job, JSON_INDENTED);
    must(file_write_durable(file_system_posix(), path, text, strlen(text), &diagnostic), &diagnostic);
    free(text);
    free(path);
    json_destroy(&job);
}

void job_assert_same_result(const Ground *ground, const char *name, const char *expected_name)
{
    static const char *const keys[] = {"best", "last"};
    Json *result = job_result(ground, name), *expected = job_result(ground, expected_name);
    char *store = path_join(ground->folder, name), *expected_store = path_join(ground->folder, expected_name);
    char *got = json_text(json_get(result, "evaluations"), JSON_CANONICAL);
    char *wanted = json_text(json_get(expected, "evaluations"), JSON_CANONICAL);
    assert_string_equal(got, wanted);
    assert_int_equal(json_integer_value(json_get(result, "pieces"), -1), json_integer_value(json_get(expected, "pieces"), -2));
    for (size_t i = 0; i < 2; i++) {
        char *files = manifest_text(store, job_checkpoint(result, keys[i]));
        char *expected_files = manifest_text(expected_store, job_checkpoint(expected, keys[i]));
        assert_string_equal(files, expected_files);
        free(files);
        free(expected_files);
    }
    free(got);
    free(wanted);
    free(store);
    free(expected_store);
    json_destroy(&result);
    json_destroy(&expected);
}

int world_setup(void **state)
{
    Diagnostic diagnostic = {0};
    Communicator *world;
    must(communicator_open(&world, 0, &diagnostic), &diagnostic);
    assert_true(communicator_size(world) > 1);
    *state = world;
    return 0;
}

int world_teardown(void **state)
{
    Communicator *world = *state;
    communicator_close(&world);
    return 0;
}
