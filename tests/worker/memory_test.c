/* The plan of a training's memory: what gives way where it is short, what is refused, and that it tells the truth. */
#include "worker/memory_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/io/file.h"
#include "model/model.h"
#include "tests/worker/trial_run.h"

enum { BATCH = 16, STEP_PIECES = 2048, PIECES_OF_A_SENTENCE = 100 };

/* A made-up host: texts of its files, NULL where there is none. */
typedef struct FakeHost {
    char meminfo[96];
    const char *cgroup, *group_limit;
} FakeHost;

static char *read_fake(void *context, const char *path)
{
    const FakeHost *host = context;
    const char *text = strcmp(path, "/proc/meminfo") == 0               ? host->meminfo
                       : strcmp(path, "/proc/self/cgroup") == 0         ? host->cgroup
                       : strcmp(path, "/sys/fs/cgroup/memory.max") == 0 ? host->group_limit
                       : strcmp(path, "/proc/self/status") == 0         ? "RssAnon:\t 1000 kB\n"
                                                                        : NULL;
    return text ? memory_copy_string(text) : NULL;
}

static FakeHost host_with(uint64_t available_bytes)
{
    FakeHost host = {0};
    snprintf(host.meminfo, sizeof host.meminfo, "MemTotal: 999999999 kB\nMemAvailable: %llu kB\n",
             (unsigned long long)(available_bytes / 1024));
    return host;
}

/* What planning is asked for: BERT-base on the ground's shards. */
typedef struct Planning {
    Workplace workplace;
    Communicator *communicator;
    TrainingOptions options;
    BertConfig config;
    FakeHost host;
    HostFiles files;
    MemorySetup setup;
    MemoryPlan plan;
    Diagnostic diagnostic;
} Planning;

static void planning_open(Planning *planning, const Ground *ground, const char *options)
{
    *planning = (Planning){.communicator = communicator_alone(), .host = host_with((uint64_t)1 << 40)};
    ground_workplace(ground, planning->communicator, "planning", &planning->workplace);
    planning->options = ground_options(options);
    bert_config_copy(&planning->config, &planning->workplace.config);
    planning->config.hidden_size = 768;
    planning->config.num_hidden_layers = 12;
    planning->config.num_attention_heads = 12;
    planning->config.intermediate_size = 3072;
    planning->config.vocab_size = 30522;
    planning->files = (HostFiles){.context = &planning->host, .read = read_fake};
    planning->setup = (MemorySetup){.communicator = planning->communicator,
                                    .backend = planning->workplace.backend,
                                    .device = planning->workplace.device,
                                    .config = &planning->config,
                                    .shards = planning->workplace.shards,
                                    .options = &planning->options,
                                    .work_folder = "/",
                                    .files = &planning->files,
                                    .evaluate = true};
}

static void planning_close(Planning *planning)
{
    bert_config_free(&planning->config);
    workplace_close(&planning->workplace);
    communicator_close(&planning->communicator);
}

static Status measure(void *context, int64_t micro_batch, StepSize *size, Diagnostic *diagnostic)
{
    (void)context;
    (void)diagnostic;
    *size = (StepSize){
        .pieces = (int32_t)micro_batch * PIECES_OF_A_SENTENCE, .sequences = (int32_t)micro_batch, .step_pieces = STEP_PIECES};
    return STATUS_OK;
}

static Status plan(Planning *planning)
{
    Status status = memory_plan_begin(&planning->plan, &planning->setup, &planning->diagnostic);
    if (status == STATUS_OK && planning->options.freeze_schedule.phase_count > 0)
        memory_plan_set_trained(&planning->plan, 1 << 20, 1 << 20);
    if (status == STATUS_OK)
        status = memory_plan_choose(&planning->plan, &planning->setup, measure, NULL, &planning->diagnostic);
    return status;
}

/* Plans with this much available beyond what is present. */
static Status plan_with(Planning *planning, uint64_t available_bytes)
{
    planning->host = host_with(available_bytes);
    return plan(planning);
}

static void assert_planned(const Planning *planning, int64_t micro_batch, bool checkpointed)
{
    assert_int_equal(planning->plan.micro_batch, micro_batch);
    assert_int_equal(planning->plan.checkpointed, checkpointed);
    assert_int_equal(planning->plan.pieces, micro_batch * PIECES_OF_A_SENTENCE);
}

/* Bytes beyond the program that a plan of this micro-batch wants. */
static uint64_t wanted_bytes(Planning *planning, const char *checkpointing, int64_t micro_batch)
{
    TrainingOptions before = planning->options;
    const OptionDescriptor *option = option_find(training_option_table(), "gradient_checkpointing");
    must(option_set(option, &planning->options, checkpointing, &planning->diagnostic), &planning->diagnostic);
    planning->options.per_device_train_batch_size = micro_batch;
    must(plan_with(planning, (uint64_t)1 << 40), &planning->diagnostic);
    planning->options = before;
    return planning->plan.host_more_bytes;
}

static void all_uses_are_counted_and_added_up(void **state)
{
    Planning planning;
    planning_open(&planning, *state, "per_device_train_batch_size=16");
    must(plan(&planning), &planning.diagnostic);
    const uint64_t *bytes = planning.plan.bytes, parameters = bytes[MEMORY_PARAMETERS];
    assert_true(parameters > (uint64_t)85000000 * 4 && parameters < (uint64_t)115000000 * 4);
    assert_int_equal(bytes[MEMORY_PROGRAM], 1000 * 1024);
    assert_int_equal(bytes[MEMORY_GRADIENTS], parameters - (uint64_t)(30522 - STEP_PIECES) * 768 * 4);
    assert_int_equal(bytes[MEMORY_MOMENTS], 2 * parameters);
    assert_int_equal(bytes[MEMORY_STAGING], 0);
    assert_true(bytes[MEMORY_MATRICES] > (uint64_t)12 * 12 * 768 * 768 * 4 - 1);
    assert_int_equal(bytes[MEMORY_ACTIVATIONS],
                     model_activation_bytes(&planning.config, DEVICE_FP32, BATCH * PIECES_OF_A_SENTENCE, BATCH, MODEL_TRAINING));
    assert_true(bytes[MEMORY_WORKSPACE] > 0);
    assert_int_equal(bytes[MEMORY_PREFIX], 0);
    uint64_t sum = 0;
    for (int use = 0; use < MEMORY_USE_COUNT; use++)
        sum += bytes[use];
    assert_int_equal(memory_plan_total_bytes(&planning.plan), sum);
    assert_int_equal(planning.plan.host_bytes, sum);
    assert_int_equal(planning.plan.host_more_bytes, sum - 1000 * 1024);
    assert_int_equal(planning.plan.host_ranks, 1);
    assert_true(planning.plan.mapped_bytes > 4096);
    assert_planned(&planning, BATCH, false);

    Json *json = memory_plan_json(&planning.plan);
    assert_int_equal(json_integer_value(json_get(json, "total_bytes"), 0), sum);
    assert_int_equal(json_integer_value(json_get(json, "moments_bytes"), 0), 2 * parameters);
    assert_true(json_is_null(json_get(json, "limit_bytes")));
    json_destroy(&json);

    /* What products read is of everything but the word embeddings then, and the reference needs no copies of its own. */
    uint64_t head = (uint64_t)planning.config.label_count * 768 * sizeof(float);
    planning.setup.product_type = DEVICE_BF16;
    must(plan(&planning), &planning.diagnostic);
    assert_int_equal(bytes[MEMORY_MATRICES], parameters / 2 - (uint64_t)30522 * 768 * 2 + head);
    planning_close(&planning);
}

static void what_is_frozen_takes_rows_but_no_moments(void **state)
{
    Planning planning;
    planning_open(&planning, *state, "freeze_schedule=embeddings+2@1 frozen_dropout=false");
    must(plan(&planning), &planning.diagnostic);
    assert_int_equal(planning.plan.bytes[MEMORY_PREFIX], 2 * (uint64_t)planning.plan.pieces * 768 * sizeof(float));
    assert_true(planning.plan.disk_bytes > 0);
    assert_int_equal(planning.plan.bytes[MEMORY_GRADIENTS], 4 << 20);
    assert_int_equal(planning.plan.bytes[MEMORY_MOMENTS], 8 << 20);
    planning_close(&planning);
}

static void micro_batches_are_halved_before_anything_is_computed_twice(void **state)
{
    Planning planning;
    planning_open(&planning, *state, "per_device_train_batch_size=16");
    uint64_t all = wanted_bytes(&planning, "off", BATCH), half = wanted_bytes(&planning, "off", BATCH / 2),
             one = wanted_bytes(&planning, "off", 1);
    assert_true(one < half && half < all);
    must(plan_with(&planning, all + 1024), &planning.diagnostic);
    assert_planned(&planning, BATCH, false);
    must(plan_with(&planning, all - 1024), &planning.diagnostic);
    assert_planned(&planning, BATCH / 2, false);
    must(plan_with(&planning, half - 1024), &planning.diagnostic);
    assert_planned(&planning, BATCH / 4, false);
    must(plan_with(&planning, one + 1024), &planning.diagnostic);
    assert_planned(&planning, 1, false);
    planning_close(&planning);
}

/* With sentences of 100 pieces one at a time is less than sixteen with checkpointing, so that the batch stays small there too. */
static void checkpointing_follows_where_one_sentence_is_too_much(void **state)
{
    Planning planning;
    planning_open(&planning, *state, "per_device_train_batch_size=16");
    uint64_t one = wanted_bytes(&planning, "off", 1), one_again = wanted_bytes(&planning, "on", 1);
    assert_true(one_again < one);
    must(plan_with(&planning, one - 1024), &planning.diagnostic);
    assert_true(planning.plan.checkpointed);
    assert_true(planning.plan.host_more_bytes <= one - 1024);
    must(plan_with(&planning, one_again + 1024), &planning.diagnostic);
    assert_planned(&planning, 1, true);
    planning.options.gradient_checkpointing = CHECKPOINTING_ON;
    must(plan_with(&planning, (uint64_t)1 << 40), &planning.diagnostic);
    assert_planned(&planning, BATCH, true);

    planning.options.gradient_checkpointing = CHECKPOINTING_OFF;
    assert_int_equal(plan_with(&planning, one - 1024), STATUS_OUT_OF_MEMORY);
    assert_non_null(strstr(planning.diagnostic.message, "set gradient_checkpointing to auto"));
    planning_close(&planning);
}

static void what_never_fits_is_refused_with_what_it_takes_and_who_allows_less(void **state)
{
    Planning planning;
    planning_open(&planning, *state, "per_device_train_batch_size=16");
    uint64_t least = wanted_bytes(&planning, "on", 1);
    const char *message = planning.diagnostic.message;

    /* Another time there may be enough. */
    assert_int_equal(plan_with(&planning, least - 2048), STATUS_OUT_OF_MEMORY);
    assert_int_equal(status_exit_code(STATUS_OUT_OF_MEMORY), 75);
    assert_non_null(strstr(message, "MemAvailable"));
    assert_non_null(strstr(message, "optimizer's moments"));
    assert_non_null(strstr(message, "1 sentence of up to 100 pieces at a time"));
    assert_null(strstr(message, "gradient_checkpointing"));

    /* Parameters alone are seen before there is a model. */
    planning.host = host_with((uint64_t)100 << 20);
    assert_int_equal(memory_plan_begin(&planning.plan, &planning.setup, &planning.diagnostic), STATUS_OUT_OF_MEMORY);

    /* Here never. */
    planning.host = host_with((uint64_t)1 << 40);
    planning.setup.limit_bytes = least;
    assert_int_equal(plan(&planning), STATUS_LIMIT);
    assert_int_equal(status_exit_code(STATUS_LIMIT), 1);
    assert_non_null(strstr(message, "memory_limit allows"));
    planning.setup.limit_bytes = 0;
    planning.host.cgroup = "0::/\n";
    planning.host.group_limit = "1000000000\n";
    assert_int_equal(plan(&planning), STATUS_LIMIT);
    assert_non_null(strstr(message, "/sys/fs/cgroup/memory.max allows 954 MB"));
    planning_close(&planning);
}

static void a_host_that_says_nothing_bounds_nothing(void **state)
{
    Planning planning;
    planning_open(&planning, *state, "per_device_train_batch_size=16");
    planning.host = (FakeHost){.meminfo = "MemAvailable: lots\n", .cgroup = "garbage"};
    must(plan(&planning), &planning.diagnostic);
    assert_planned(&planning, BATCH, false);
    planning_close(&planning);
}

/* -- Whole trials. */

static void assert_same_training(const Run *a, const Run *b)
{
    const TrialState *x = &a->outcome.training.state, *y = &b->outcome.training.state;
    assert_int_equal(a->losses.count, b->losses.count);
    assert_memory_equal(a->losses.items, b->losses.items, a->losses.count * sizeof(float));
    assert_int_equal(x->evaluations.count, y->evaluations.count);
    for (size_t i = 0; i < x->evaluations.count; i++)
        assert_same_file(a->store, x->evaluations.items[i].checkpoint, b->store, y->evaluations.items[i].checkpoint);
}

static void checkpointing_changes_no_bit_of_a_trial(void **state)
{
    static const struct {
        const char *options;
        DeviceType type;
    } cases[] = {{"weight_decay=0.01 gradient_accumulation_steps=2", DEVICE_FP32},
                 {"", DEVICE_BF16},
                 {"num_train_epochs=3 freeze_schedule=embeddings+1@1", DEVICE_FP32},
                 {"num_train_epochs=3 frozen_dropout=false oversample_factor=2 freeze_schedule=embeddings+1@2", DEVICE_FP32},
                 {"num_train_epochs=3 frozen_dropout=false freeze_schedule=embeddings+1@2", DEVICE_BF16}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char *kept_store = memory_format("kept%zu", c), *again_store = memory_format("again%zu", c);
        char *off = memory_format("%s gradient_checkpointing=off", cases[c].options),
             *on = memory_format("%s gradient_checkpointing=on", cases[c].options);
        Run kept, again;
        run_trial(*state, &(Wish){.store = kept_store, .options = off, .product_type = cases[c].type}, &kept);
        run_trial(*state, &(Wish){.store = again_store, .options = on, .product_type = cases[c].type}, &again);
        must(kept.status, &kept.diagnostic);
        must(again.status, &again.diagnostic);
        assert_false(kept.outcome.memory.checkpointed);
        assert_true(again.outcome.memory.checkpointed);
        assert_true(again.outcome.memory.bytes[MEMORY_ACTIVATIONS] < kept.outcome.memory.bytes[MEMORY_ACTIVATIONS]);
        assert_same_training(&kept, &again);
        char *texts[] = {kept_store, again_store, off, on};
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            free(texts[i]);
        run_free(&kept);
        run_free(&again);
    }
}

/* Of word embeddings a step of more sentences has more rows. */
static void the_rows_of_the_largest_step_are_counted(void **state)
{
    Run small, large;
    run_trial(*state, &(Wish){.store = "rows1", .options = "max_steps=1 per_device_train_batch_size=1"}, &small);
    run_trial(*state,
              &(Wish){.store = "rows4", .options = "max_steps=1 per_device_train_batch_size=1 gradient_accumulation_steps=4"},
              &large);
    must(small.status, &small.diagnostic);
    must(large.status, &large.diagnostic);
    assert_int_equal(small.outcome.memory.pieces, large.outcome.memory.pieces);
    assert_true(small.outcome.memory.bytes[MEMORY_GRADIENTS] < large.outcome.memory.bytes[MEMORY_GRADIENTS]);
    run_free(&small);
    run_free(&large);
}

/* It is no part of a trial's identity: where memory is short it begins in the middle. */
static void a_trial_goes_on_with_checkpointing_to_the_same_bytes(void **state)
{
    Run whole, half, rest;
    char checkpoint[CHECKPOINT_NAME_SIZE];
    run_trial(*state, &(Wish){.store = "without", .options = "gradient_checkpointing=off"}, &whole);
    run_trial(*state, &(Wish){.store = "with", .options = "gradient_checkpointing=off", .stop_after_step = 7}, &half);
    must(whole.status, &whole.diagnostic);
    assert_int_equal(half.status, STATUS_INTERRUPTED);
    snprintf(checkpoint, sizeof checkpoint, "%s", trial_state_last(&half.outcome.training.state)->checkpoint);
    run_trial(*state, &(Wish){.store = "with", .options = "gradient_checkpointing=on", .resume = checkpoint}, &rest);
    must(rest.status, &rest.diagnostic);
    assert_same_file(whole.store, trial_state_last(&whole.outcome.training.state)->checkpoint, rest.store,
                     trial_state_last(&rest.outcome.training.state)->checkpoint);
    run_free(&whole);
    run_free(&half);
    run_free(&rest);
}

static void a_trial_without_enough_memory_trains_less_at_once_or_is_refused(void **state)
{
    Run ample, tight, refused;
    FakeHost host;
    const HostFiles files = {.context = &host, .read = read_fake};
    run_trial(*state, &(Wish){.store = "ample", .options = "max_steps=4"}, &ample);
    must(ample.status, &ample.diagnostic);
    assert_int_equal(ample.outcome.memory.micro_batch, 8);
    host = host_with(ample.outcome.memory.host_more_bytes - 4096);
    run_trial(*state, &(Wish){.store = "tight", .options = "max_steps=4", .host_files = &files}, &tight);
    must(tight.status, &tight.diagnostic);
    assert_int_equal(tight.outcome.memory.micro_batch, 4);
    for (size_t i = 0; i < ample.losses.count; i++)
        assert_true(tight.losses.items[i] - ample.losses.items[i] < 1e-4f && ample.losses.items[i] - tight.losses.items[i] < 1e-4f);
    run_trial(*state, &(Wish){.store = "refused", .options = "max_steps=4", .memory_limit_bytes = 1 << 20}, &refused);
    assert_int_equal(refused.status, STATUS_LIMIT);
    assert_non_null(strstr(refused.diagnostic.message, "memory_limit allows 1 MB"));
    assert_int_equal(refused.losses.count, 0);
    run_free(&ample);
    run_free(&tight);
    run_free(&refused);
}

/* The plan may be wrong, or others quicker: the second reservation is that of the first epoch's largest block. */
static void a_job_that_runs_out_of_memory_at_one_sentence_computes_twice_and_learns_the_same(void **state)
{
    static const char overrides[] = "per_device_train_batch_size=1 max_steps=6";
    static const char *const environment[] = {"NERSWEEP_FAULT=model.reserve_activations:2:fail", NULL};
    const Ground *ground = *state;
    free(ground_write_job(ground, "roomy", overrides, true, false));
    free(ground_write_job(ground, "narrow", overrides, true, false));
    assert_int_equal(job_program_run(ground, "roomy", NULL), 0);
    assert_int_equal(job_program_run(ground, "narrow", environment), 0);
    char *said = program_errors(ground);
    assert_non_null(strstr(said, "one sentence at a time: gradient checkpointing is on"));
    job_assert_same_result(ground, "narrow", "roomy");
    free(said);
    free(
        ground_write_job(ground, "forbidden", "per_device_train_batch_size=1 max_steps=6 gradient_checkpointing=off", true, false));
    assert_int_equal(job_program_run(ground, "forbidden", environment), status_exit_code(STATUS_OUT_OF_MEMORY));
}

/* -- The truth. */

/* Most RssAnon of a process, looked at until it has ended. */
static uint64_t watch_anonymous_bytes(int pid)
{
    char *path = memory_format("/proc/%d/status", pid), *text = NULL;
    const char *line;
    uint64_t most = 0;
    size_t size;
    while (file_read(path, 1 << 16, &text, &size, NULL) == STATUS_OK && (line = strstr(text, "RssAnon:"))) {
        uint64_t now = strtoull(line + strlen("RssAnon:"), NULL, 10) * 1024;
        most = now > most ? now : most;
        free(text);
        text = NULL;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    free(text);
    free(path);
    return most;
}

/* Eight layers, 256 wide, embeddings of 50000 pieces: two copies of the parameters, and what checkpointing saves, are more than the margin. */
static void write_larger_model(const Ground *ground, const char *folder)
{
    Diagnostic diagnostic = {0};
    char *from = path_join(ground->model, "vocab.txt"), *to = path_join(folder, "vocab.txt"),
         *config = path_join(folder, "config.json"), *text;
    static const char larger[] =
        "{\"model_type\": \"bert\", \"vocab_size\": 50000, \"hidden_size\": 256, \"num_hidden_layers\": 8, "
        "\"num_attention_heads\": 4, \"intermediate_size\": 1024, \"max_position_embeddings\": 256, "
        "\"type_vocab_size\": 2, \"hidden_act\": \"gelu\", \"hidden_dropout_prob\": 0.1, "
        "\"attention_probs_dropout_prob\": 0.1, \"layer_norm_eps\": 1e-12, \"initializer_range\": 0.02}";
    size_t size;
    must(folder_create(file_system_posix(), folder, &diagnostic), &diagnostic);
    must(file_read(from, 1 << 20, &text, &size, &diagnostic), &diagnostic);
    must(file_write_durable(file_system_posix(), to, text, size, &diagnostic), &diagnostic);
    must(file_write_durable(file_system_posix(), config, larger, sizeof larger - 1, &diagnostic), &diagnostic);
    char *all[] = {from, to, config, text};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void assert_plan_is_true(const Ground *ground, const char *name, const char *options, bool checkpointed)
{
    char *all = memory_format("max_steps=3 per_device_train_batch_size=16 eval_steps=2 %s", options);
    free(ground_write_job(ground, name, all, true, false));
    char *job = memory_format("%s/%s.json", ground->folder, name),
         *result = memory_format("%s/%s.result.json", ground->folder, name);
    const char *arguments[] = {worker_program(), "--job", job, "--result", result, "--backend", "cpu", "--threads", "2", NULL};
    int pid = program_start(ground, arguments, NULL);
    double measured = (double)watch_anonymous_bytes(pid);
    assert_int_equal(program_wait(pid), 0);
    Json *json = job_result(ground, name);
    const Json *memory = json_get(json, "memory");
    double planned = (double)json_integer_value(json_get(memory, "total_bytes"), 0);
    assert_int_equal(json_boolean_value(json_get(memory, "gradient_checkpointing"), !checkpointed), checkpointed);
    if (measured > planned * 1.1 + (20 << 20) || measured < planned * 0.9 - (20 << 20))
        fail_msg("%s: planned %.1f MB, measured %.1f MB", name, planned / 1048576, measured / 1048576);
    char *said = program_errors(ground);
    assert_non_null(strstr(said, "optimizer's moments"));
    assert_non_null(strstr(said, "this rank together"));
    json_destroy(&json);
    free(said);
    free(job);
    free(result);
    free(all);
}

/* Within 10% and 20 MB: the allocator's and the libraries' own memory, and the ends of pages. */
static void a_plan_is_what_the_process_comes_to(void **state)
{
    Ground larger = *(const Ground *)*state;
    larger.model = path_join(larger.folder, "larger");
    write_larger_model(*state, larger.model);
    assert_plan_is_true(&larger, "true_plan", "gradient_checkpointing=off", false);
    assert_plan_is_true(&larger, "true_checkpointed", "gradient_checkpointing=on", true);
    assert_plan_is_true(&larger, "true_frozen", "freeze_schedule=embeddings+2@9 frozen_dropout=false", false);
    free(larger.model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_uses_are_counted_and_added_up),
        cmocka_unit_test(what_is_frozen_takes_rows_but_no_moments),
        cmocka_unit_test(micro_batches_are_halved_before_anything_is_computed_twice),
        cmocka_unit_test(checkpointing_follows_where_one_sentence_is_too_much),
        cmocka_unit_test(what_never_fits_is_refused_with_what_it_takes_and_who_allows_less),
        cmocka_unit_test(a_host_that_says_nothing_bounds_nothing),
        cmocka_unit_test(the_rows_of_the_largest_step_are_counted),
        cmocka_unit_test(checkpointing_changes_no_bit_of_a_trial),
        cmocka_unit_test(a_trial_goes_on_with_checkpointing_to_the_same_bytes),
        cmocka_unit_test(a_trial_without_enough_memory_trains_less_at_once_or_is_refused),
        cmocka_unit_test(a_job_that_runs_out_of_memory_at_one_sentence_computes_twice_and_learns_the_same),
        cmocka_unit_test(a_plan_is_what_the_process_comes_to),
    };
    return cmocka_run_group_tests(tests, ground_setup, ground_teardown);
}
