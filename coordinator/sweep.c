#include "coordinator/sweep.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/sweep_internal.h"
#include "coordinator/sweep_tree.h"
#include "core/io/file.h"
#include "core/options/number.h"

enum {
    FILE_SIZE_LIMIT = 1024 * 1024,
    NAME_LIMIT = 64,
    SEED_COUNT_LIMIT = 10000,
    CORPUS_COUNT_LIMIT = 64,
    ARENA_BLOCK_BYTES = 64 * 1024,
};

/* ------------------------------------------------------------------------------------------------ problems */

void sweep_problem(SweepReader *reader, long line, long column, const char *format, ...)
{
    if (reader->problems->count >= SWEEP_PROBLEM_LIMIT)
        return;
    SweepProblem problem = {.line = line < 0 ? 0 : line, .column = column};
    int used = line < 0 ? snprintf(problem.message, sizeof problem.message, "--set %.200s: ", reader->overrides[-line - 1]) : 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem.message + used, sizeof problem.message - (size_t)used, format, arguments);
    va_end(arguments);
    array_push(reader->problems, problem);
}

static int compare_problems(const void *a, const void *b)
{
    const SweepProblem *left = a, *right = b;
    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    return left->column < right->column ? -1 : left->column > right->column;
}

static const char *kind_name(const YamlNode *node)
{
    return node->kind == YAML_SCALAR ? "a value" : node->kind == YAML_SEQUENCE ? "a list" : "a mapping";
}

bool sweep_require_kind(SweepReader *reader, const YamlNode *node, YamlKind kind, const char *name, const char *expected)
{
    if (node->kind == kind && !(kind == YAML_SCALAR && yaml_is_null(node)))
        return true;
    sweep_problem(reader, node->line, node->column, "%s: expected %s, found %s", name, expected,
                  node->kind == YAML_SCALAR && yaml_is_null(node) ? "nothing" : kind_name(node));
    return false;
}

/* ------------------------------------------------------------------------------------------------ sections and scalars */

void sweep_read_section(SweepReader *reader, const YamlNode *mapping, const char *name, const SweepSection *sections,
                        size_t section_count)
{
    const OptionTable *tables[4] = {0};
    ASSERT(section_count <= 4);
    for (size_t s = 0; s < section_count; s++)
        tables[s] = sections[s].table;
    if (!sweep_require_kind(reader, mapping, YAML_MAPPING, name, "a mapping of keys to values"))
        return;
    for (size_t i = 0; i < mapping->count; i++) {
        const OptionDescriptor *key = NULL;
        void *object = NULL;
        for (size_t s = 0; s < section_count && !key; s++) {
            key = option_find(sections[s].table, mapping->keys[i]);
            object = sections[s].object;
        }
        if (!key) {
            const char *nearest = option_nearest(tables, section_count, mapping->keys[i]);
            sweep_problem(reader, mapping->key_lines[i], mapping->key_columns[i], "%s: unknown key %.60s%s%s%s", name,
                          mapping->keys[i], nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
        } else if (object) {
            const YamlNode *item = mapping->items[i];
            Diagnostic diagnostic = {0};
            if (item->kind != YAML_SCALAR)
                sweep_problem(reader, item->line, item->column, "%s.%s: expected a value, found %s", name, key->name,
                              kind_name(item));
            else if (option_set(key, object, item->text, &diagnostic) != STATUS_OK)
                sweep_problem(reader, item->line, item->column, "%s: %s", name, diagnostic.message);
        }
    }
}

bool sweep_read_integer(SweepReader *reader, const YamlNode *node, const char *name, int64_t minimum, int64_t maximum,
                        int64_t *value)
{
    if (!sweep_require_kind(reader, node, YAML_SCALAR, name, "a whole number"))
        return false;
    char *end;
    errno = 0;
    long long number = strtoll(node->text, &end, 10);
    if (end == node->text || *end || errno || number < minimum || number > maximum) {
        sweep_problem(reader, node->line, node->column, "%s: expected a whole number from %" PRId64 " to %" PRId64 ", found %.60s",
                      name, minimum, maximum, node->text);
        return false;
    }
    *value = number;
    return true;
}

int sweep_read_choice(SweepReader *reader, const YamlNode *node, const char *name, const char *const *names, const char *expected)
{
    if (!sweep_require_kind(reader, node, YAML_SCALAR, name, expected))
        return -1;
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], node->text) == 0)
            return i;
    sweep_problem(reader, node->line, node->column, "%s: expected %s, found %.60s", name, expected, node->text);
    return -1;
}

/* Letters, digits, dot, dash, underscore: a name that is safe as a folder's and on a command line. */
static bool is_safe_name(const char *text)
{
    size_t size = strlen(text);
    return size > 0 && size <= NAME_LIMIT && text[0] != '.' && text[0] != '-' &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == size;
}

static void read_name(SweepReader *reader, const YamlNode *node)
{
    if (!sweep_require_kind(reader, node, YAML_SCALAR, "name", "a name"))
        return;
    if (!is_safe_name(node->text))
        sweep_problem(
            reader, node->line, node->column,
            "name: \"%.80s\" must be 1 to %d letters, digits, dots, dashes or underscores, beginning with a letter or digit",
            node->text, NAME_LIMIT);
    reader->sweep->name = memory_copy_string(node->text);
}

/* ------------------------------------------------------------------------------------------------ model and data */

static void read_model(SweepReader *reader, const YamlNode *node)
{
    if (!sweep_require_kind(reader, node, YAML_SCALAR, "model", "the path of a model folder"))
        return;
    Sweep *sweep = reader->sweep;
    sweep->model = path_absolute(node->text);
    char *config = path_join(sweep->model, "config.json");
    if (!path_is_folder(sweep->model))
        sweep_problem(reader, node->line, node->column, "model: %s is no folder", sweep->model);
    else if (access(config, R_OK) != 0)
        sweep_problem(reader, node->line, node->column, "model: %s has no readable config.json: is it a Hugging Face model folder?",
                      sweep->model);
    free(config);
}

typedef ARRAY(NamedPath) NamedPathArray;

static void add_corpus(SweepReader *reader, const YamlNode *node, const char *name, void *array)
{
    NamedPathArray *corpora = array;
    struct stat entry;
    if (!sweep_require_kind(reader, node, YAML_SCALAR, "data", "the path of a corpus file"))
        return;
    if (corpora->count >= CORPUS_COUNT_LIMIT) {
        sweep_problem(reader, node->line, node->column, "data: more than %d files", CORPUS_COUNT_LIMIT);
        return;
    }
    if (!is_safe_name(name) || strcmp(name, "mean") == 0 || strcmp(name, "worst") == 0)
        sweep_problem(
            reader, node->line, node->column,
            "data: \"%.80s\" cannot name a data set: letters, digits, dots, dashes and underscores, and neither mean nor worst",
            name);
    for (size_t i = 0; i < corpora->count; i++)
        if (strcmp(corpora->items[i].name, name) == 0)
            sweep_problem(reader, node->line, node->column,
                          "data: there are two data sets called %.80s: name them, as in dev: {a: FILE, b: FILE}", name);
    NamedPath corpus = {memory_copy_string(name), path_absolute(node->text)};
    if (stat(corpus.path, &entry) != 0)
        sweep_problem(reader, node->line, node->column, "data: %s: %s", corpus.path, strerror(errno));
    else if (!S_ISREG(entry.st_mode) || access(corpus.path, R_OK) != 0)
        sweep_problem(reader, node->line, node->column, "data: %s is no readable file", corpus.path);
    array_push(corpora, corpus);
}

/* "train-news.conll" is called "train-news". */
static char *corpus_stem(const char *path)
{
    char *name = memory_copy_string(path_base_name(path));
    char *dot = strrchr(name, '.');
    if (dot && dot != name)
        *dot = '\0';
    return name;
}

static void read_corpora(SweepReader *reader, const YamlNode *data, const char *split, void *corpora, bool required)
{
    const YamlNode *node = yaml_get(data, split);
    if (!node || (node->kind == YAML_SCALAR && yaml_is_null(node))) {
        if (required)
            sweep_problem(reader, data->line, data->column, "data: the key %s is missing", split);
        return;
    }
    if (node->kind == YAML_SCALAR) {
        add_corpus(reader, node, split, corpora);
        return;
    }
    if (node->count == 0)
        sweep_problem(reader, node->line, node->column, "data.%s: expected at least one file", split);
    for (size_t i = 0; i < node->count; i++) {
        const YamlNode *item = node->items[i];
        if (node->kind == YAML_MAPPING) {
            add_corpus(reader, item, node->keys[i], corpora);
        } else {
            char *name = node->count > 1 && item->kind == YAML_SCALAR ? corpus_stem(item->text) : memory_copy_string(split);
            add_corpus(reader, item, name, corpora);
            free(name);
        }
    }
}

static const char *const words_rules[] = {"corpus", "treebank", "whitespace", "bert", NULL};
static const OptionDescriptor split_keys[] = {{.name = "train"}, {.name = "dev"},    {.name = "test"},
                                              {.name = "words"}, {.name = "pseudo"}, {.name = "weak"}};
static const OptionTable split_table = {"data", split_keys, sizeof split_keys / sizeof *split_keys, 0};

static void read_data(SweepReader *reader, const YamlNode *node)
{
    Sweep *sweep = reader->sweep;
    size_t problems = reader->problems->count;
    SweepSection sections[] = {{data_option_table(), &sweep->data}, {&split_table, NULL}};
    sweep_read_section(reader, node, "data", sections, 2);
    if (node->kind != YAML_MAPPING)
        return;
    read_corpora(reader, node, "train", &sweep->train, true);
    read_corpora(reader, node, "dev", &sweep->dev, true);
    read_corpora(reader, node, "test", &sweep->test, false);
    read_corpora(reader, node, "pseudo", &sweep->pseudo, false);
    read_corpora(reader, node, "weak", &sweep->weak, false);
    const YamlNode *words = yaml_get(node, "words");
    int rule = words ? sweep_read_choice(reader, words, "data.words", words_rules, "corpus, treebank, whitespace or bert") : 0;
    if (rule >= 0) {
        free(sweep->words);
        sweep->words = memory_copy_string(words_rules[rule]);
    }
    Diagnostic diagnostic = {0};
    if (reader->problems->count == problems && data_options_validate(&sweep->data, &diagnostic) != STATUS_OK)
        sweep_problem(reader, node->line, node->column, "data: %s", diagnostic.message);
}

/* ------------------------------------------------------------------------------------------------ search */

static const OptionDescriptor metric_keys[] = {{.name = "name"}, {.name = "goal"}, {.name = "dataset"}};
static const OptionTable metric_table = {"metric", metric_keys, 3, 0};

static void read_metric(SweepReader *reader, const YamlNode *node)
{
    static const char *const names[] = {"f1", NULL}, *const goals[] = {"maximize", NULL};
    SweepSection sections[] = {{&metric_table, NULL}};
    sweep_read_section(reader, node, "metric", sections, 1);
    if (node->kind != YAML_MAPPING)
        return;
    const YamlNode *name = yaml_get(node, "name"), *goal = yaml_get(node, "goal"), *dataset = yaml_get(node, "dataset");
    if (name)
        (void)sweep_read_choice(reader, name, "metric.name", names, "f1");
    if (goal)
        (void)sweep_read_choice(reader, goal, "metric.goal", goals, "maximize");
    if (dataset && sweep_require_kind(reader, dataset, YAML_SCALAR, "metric.dataset", "the name of a dev set, mean or worst"))
        reader->sweep->metric_dataset = memory_copy_string(dataset->text);
}

/* After data was read, wherever it stands in the file. */
static void check_metric_dataset(SweepReader *reader, const YamlNode *metric)
{
    Sweep *sweep = reader->sweep;
    if (!sweep->metric_dataset) {
        sweep->metric_dataset = memory_copy_string(sweep->dev.count ? sweep->dev.items[0].name : "dev");
        return;
    }
    bool known = strcmp(sweep->metric_dataset, "mean") == 0 || strcmp(sweep->metric_dataset, "worst") == 0;
    Text names = {0};
    for (size_t i = 0; i < sweep->dev.count; i++) {
        known = known || strcmp(sweep->metric_dataset, sweep->dev.items[i].name) == 0;
        text_format(&names, "%s, ", sweep->dev.items[i].name);
    }
    const YamlNode *node = yaml_get(metric, "dataset");
    if (!known)
        sweep_problem(reader, node->line, node->column, "metric.dataset: %.60s is no dev set; there are %smean and worst",
                      sweep->metric_dataset, names.bytes ? names.bytes : "");
    text_free(&names);
}

static void add_seed(SweepReader *reader, const YamlNode *node)
{
    int64_t seed;
    if (!sweep_read_integer(reader, node, "seeds", 0, INT32_MAX, &seed))
        return;
    for (size_t i = 0; i < reader->sweep->seeds.count; i++)
        if (reader->sweep->seeds.items[i] == seed) {
            sweep_problem(reader, node->line, node->column, "seeds: %" PRId64 " is given twice", seed);
            return;
        }
    array_push(&reader->sweep->seeds, (int32_t)seed);
}

static void read_seeds(SweepReader *reader, const YamlNode *node)
{
    if (node->kind == YAML_SCALAR) {
        add_seed(reader, node);
        return;
    }
    if (!sweep_require_kind(reader, node, YAML_SEQUENCE, "seeds", "a list of whole numbers"))
        return;
    if (node->count == 0 || node->count > SEED_COUNT_LIMIT) {
        sweep_problem(reader, node->line, node->column, "seeds: expected 1 to %d of them", SEED_COUNT_LIMIT);
        return;
    }
    for (size_t i = 0; i < node->count; i++)
        add_seed(reader, node->items[i]);
}

/* ------------------------------------------------------------------------------------------------ resources and storage */

typedef struct Resources {
    int64_t ranks_per_trial, threads_per_rank, concurrent_trials;
    char backend[64], precision[16], memory_limit[32];
    double heartbeat, lease, hang;
} Resources;

#define FIELD(field) .name = #field, .offset = offsetof(Resources, field), .size = sizeof(((Resources *)NULL)->field)
static const char *const precisions[] = {"auto", "fp32", "bf16", NULL};
static const OptionDescriptor resource_descriptors[] = {
    {FIELD(ranks_per_trial), .type = OPTION_INTEGER, .minimum = 1, .maximum = 65536, .default_text = "1",
     .help = "MPI ranks of a worker group"},
    {FIELD(threads_per_rank), .type = OPTION_INTEGER, .minimum = 1, .maximum = 1024, .default_text = "1",
     .help = "threads of a rank"},
    {FIELD(concurrent_trials), .type = OPTION_INTEGER, .minimum = 1, .maximum = 4096, .default_text = "1",
     .help = "worker groups at once"},
    {FIELD(backend), .type = OPTION_TEXT, .default_text = "auto", .help = "what computes"},
    {FIELD(precision), .type = OPTION_TEXT, .choices = precisions, .default_text = "auto",
     .help = "of matrix products; auto: bf16 where the processor is quicker in it, else fp32"},
    {FIELD(memory_limit), .type = OPTION_TEXT, .default_text = "none",
     .help = "memory that the ranks of a trial may take on a host, such as 8G; none: what it has"},
    {FIELD(heartbeat), .type = OPTION_REAL, .minimum = 0.05, .maximum = 3600, .default_text = "2",
     .help = "seconds between signs of life"},
    {FIELD(lease), .type = OPTION_REAL, .minimum = 0.15, .maximum = 86400, .default_text = "30",
     .help = "seconds without one until a worker is given up"},
    {FIELD(hang), .type = OPTION_REAL, .minimum = 0, .maximum = 864000, .default_text = "0",
     .help = "seconds without progress until it is hung"},
};
#undef FIELD
static const OptionTable resource_table = {"resources", resource_descriptors,
                                           sizeof resource_descriptors / sizeof *resource_descriptors, sizeof(Resources)};

/* node NULL: the defaults. */
static void read_resources(SweepReader *reader, const YamlNode *node)
{
    Sweep *sweep = reader->sweep;
    Resources resources;
    options_set_defaults(&resource_table, &resources);
    if (node) {
        SweepSection sections[] = {{&resource_table, &resources}};
        sweep_read_section(reader, node, "resources", sections, 1);
        if (resources.lease < 3 * resources.heartbeat)
            sweep_problem(reader, node->line, node->column,
                          "resources: a lease (%g s) must last three heartbeats (%g s each) or more", resources.lease,
                          resources.heartbeat);
        uint64_t bytes;
        if (strcmp(resources.memory_limit, "none") != 0 && !number_parse_bytes(resources.memory_limit, &bytes))
            sweep_problem(reader, node->line, node->column, "resources: memory_limit \"%s\" is no number of bytes such as 8G",
                          resources.memory_limit);
        if (resources.hang != 0 && resources.hang < resources.lease)
            sweep_problem(reader, node->line, node->column, "resources: hang (%g s) must not be below the lease (%g s)",
                          resources.hang, resources.lease);
    }
    sweep->ranks_per_trial = (int32_t)resources.ranks_per_trial;
    sweep->threads_per_rank = (int32_t)resources.threads_per_rank;
    sweep->concurrent_trials = (int32_t)resources.concurrent_trials;
    sweep->backend = memory_copy_string(resources.backend);
    sweep->precision = memory_copy_string(resources.precision);
    sweep->memory_limit = memory_copy_string(resources.memory_limit);
    sweep->heartbeat_ms = (int64_t)(resources.heartbeat * 1000 + 0.5);
    sweep->lease_ms = (int64_t)(resources.lease * 1000 + 0.5);
    sweep->hang_ms =
        resources.hang != 0 ? (int64_t)(resources.hang * 1000 + 0.5) : (int64_t)fmax(120000, 10.0 * (double)sweep->lease_ms);
}

typedef struct Storage {
    int64_t save_total_limit;
} Storage;
static const OptionDescriptor storage_descriptors[] = {{.name = "save_total_limit",
                                                        .offset = offsetof(Storage, save_total_limit),
                                                        .size = sizeof(int64_t),
                                                        .type = OPTION_INTEGER,
                                                        .minimum = 1,
                                                        .maximum = 1000000,
                                                        .default_text = "2",
                                                        .help = "checkpoints of a trial to keep"}};
static const OptionTable storage_table = {"storage", storage_descriptors, 1, sizeof(Storage)};
static const OptionDescriptor storage_keys[] = {{.name = "path"}};
static const OptionTable storage_key_table = {"storage", storage_keys, 1, 0};

static void read_storage(SweepReader *reader, const YamlNode *node)
{
    Storage storage;
    options_set_defaults(&storage_table, &storage);
    const YamlNode *path = node ? yaml_get(node, "path") : NULL;
    if (node) {
        SweepSection sections[] = {{&storage_table, &storage}, {&storage_key_table, NULL}};
        sweep_read_section(reader, node, "storage", sections, 2);
    }
    bool given = path && sweep_require_kind(reader, path, YAML_SCALAR, "storage.path", "the path of a folder");
    reader->sweep->storage_path = path_absolute(given ? path->text : "runs");
    if (given && path_exists(reader->sweep->storage_path) && !path_is_folder(reader->sweep->storage_path))
        sweep_problem(reader, path->line, path->column, "storage.path: %s is no folder", reader->sweep->storage_path);
    reader->sweep->save_total_limit = storage.save_total_limit;
}

/* Only for submitting; what Slurm makes of a value is its own affair. */
static void check_slurm(SweepReader *reader, const YamlNode *node)
{
    if (!sweep_require_kind(reader, node, YAML_MAPPING, "slurm", "a mapping of options of sbatch"))
        return;
    for (size_t i = 0; i < node->count; i++)
        if (node->items[i]->kind == YAML_MAPPING)
            sweep_problem(reader, node->items[i]->line, node->items[i]->column, "slurm.%.60s: expected a value, found a mapping",
                          node->keys[i]);
}

/* ------------------------------------------------------------------------------------------------ the whole */

static const OptionDescriptor top_keys[] = {
    {.name = "name"},        {.name = "description"}, {.name = "model"},           {.name = "data"},       {.name = "method"},
    {.name = "metric"},      {.name = "run_cap"},     {.name = "seeds"},           {.name = "order"},      {.name = "search_seed"},
    {.name = "max_retries"}, {.name = "parameters"},  {.name = "early_terminate"}, {.name = "resources"},  {.name = "slurm"},
    {.name = "storage"},     {.name = "search"},      {.name = "budget"},          {.name = "warm_start"},
};
static const OptionTable top_table = {"sweep", top_keys, sizeof top_keys / sizeof *top_keys, 0};

static const YamlNode *get_required(SweepReader *reader, const YamlNode *root, const char *key)
{
    const YamlNode *node = yaml_get(root, key);
    if (!node)
        sweep_problem(reader, root->line, root->column, "the key %s is missing", key);
    return node;
}

static void read_limits(SweepReader *reader, const YamlNode *root)
{
    Sweep *sweep = reader->sweep;
    const YamlNode *node;
    int64_t value;
    sweep->search_seed = 1;
    sweep->max_retries = 2;
    if ((node = yaml_get(root, "run_cap")) && sweep_read_integer(reader, node, "run_cap", 1, SWEEP_CONFIGURATION_LIMIT, &value))
        sweep->run_cap = (int32_t)value;
    if ((node = yaml_get(root, "search_seed")) && sweep_read_integer(reader, node, "search_seed", 0, INT64_C(1) << 53, &value))
        sweep->search_seed = (uint64_t)value;
    if ((node = yaml_get(root, "max_retries")) && sweep_read_integer(reader, node, "max_retries", 0, 1000, &value))
        sweep->max_retries = (int32_t)value;
    if ((node = yaml_get(root, "seeds")))
        read_seeds(reader, node);
    else
        array_push(&sweep->seeds, 42);
}

static void read_tree(SweepReader *reader, const YamlNode *root)
{
    SweepSection sections[] = {{&top_table, NULL}};
    sweep_read_section(reader, root, "sweep file", sections, 1);
    if (root->kind != YAML_MAPPING)
        return;
    const YamlNode *node;
    if ((node = get_required(reader, root, "name")))
        read_name(reader, node);
    if ((node = get_required(reader, root, "model")))
        read_model(reader, node);
    if ((node = get_required(reader, root, "data")))
        read_data(reader, node);
    if ((node = yaml_get(root, "metric")))
        read_metric(reader, node);
    check_metric_dataset(reader, node);
    read_limits(reader, root);
    if ((node = get_required(reader, root, "parameters")))
        sweep_read_parameters(reader, node);
    (void)get_required(reader, root, "method");
    sweep_read_search(reader, root);
    read_resources(reader, yaml_get(root, "resources"));
    read_storage(reader, yaml_get(root, "storage"));
    if ((node = yaml_get(root, "slurm")))
        check_slurm(reader, node);
    sweep_check_search(reader, root);
    sweep_read_warm_history(reader, root);
}

Status sweep_read(Sweep **result, const char *path, const char *const *overrides, size_t override_count,
                  SweepProblemArray *problems, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Yaml *yaml = NULL;
    YamlNode *tree = NULL;
    size_t size = 0;
    SweepProblemArray own = {0};
    Sweep *sweep = memory_allocate(1, sizeof *sweep);
    Arena *arena = arena_create(ARENA_BLOCK_BYTES);
    SweepReader reader = {.sweep = sweep, .problems = problems ? problems : &own, .overrides = overrides};
    *result = NULL;
    options_set_defaults(data_option_table(), &sweep->data);
    sweep->words = memory_copy_string("corpus");
    sweep->file = memory_copy_string(path);
    TRY(file_read(path, FILE_SIZE_LIMIT, &sweep->text, &size, diagnostic));
    TRY(yaml_parse(&yaml, sweep->text, size, path, diagnostic));
    TRY(sweep_tree_build(&tree, arena, yaml_root(yaml), overrides, override_count, diagnostic));
    read_tree(&reader, tree);
    if (reader.problems->count) {
        qsort(reader.problems->items, reader.problems->count, sizeof *reader.problems->items, compare_problems);
        const SweepProblem *first = &reader.problems->items[0];
        status = FAIL_AT(diagnostic, STATUS_INVALID_INPUT, path, first->line, first->column, "%s", first->message);
        goto out;
    }
    *result = sweep;
    sweep = NULL;
out:
    array_free(&own);
    yaml_destroy(&yaml);
    arena_destroy(&arena);
    sweep_destroy(&sweep);
    return status;
}

static void free_corpora(void *array)
{
    NamedPathArray *corpora = array;
    for (size_t i = 0; i < corpora->count; i++) {
        free(corpora->items[i].name);
        free(corpora->items[i].path);
    }
    array_free(corpora);
}

void sweep_destroy(Sweep **destroyed)
{
    Sweep *sweep = *destroyed;
    if (!sweep)
        return;
    free(sweep->name);
    free(sweep->file);
    free(sweep->text);
    free(sweep->model);
    free_corpora(&sweep->train);
    free_corpora(&sweep->dev);
    free_corpora(&sweep->test);
    free_corpora(&sweep->pseudo);
    free_corpora(&sweep->weak);
    options_free(data_option_table(), &sweep->data);
    free(sweep->words);
    free(sweep->metric_dataset);
    array_free(&sweep->seeds);
    for (size_t i = 0; i < sweep->parameter_count; i++) {
        SweepParameter *parameter = &sweep->parameters[i];
        string_array_free(&parameter->values);
        for (size_t c = 0; c < parameter->conditions.count; c++)
            string_array_free(&parameter->conditions.items[c].values);
        array_free(&parameter->conditions);
    }
    free(sweep->parameters);
    string_array_free(&sweep->warm_start);
    json_destroy(&sweep->warm_history);
    free(sweep->backend);
    free(sweep->precision);
    free(sweep->memory_limit);
    free(sweep->storage_path);
    free(sweep);
    *destroyed = NULL;
}
