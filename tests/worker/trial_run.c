#include "tests/worker/trial_run.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/io/file.h"

/* Hooks that write down losses and stop after a number of evaluations or steps. */
typedef struct Watch {
    Run *run;
    int64_t stop_after_step; /* 0: never */
    int64_t last_step;
    uint64_t acknowledge_only; /* 0: everything at once */
} Watch;

static void watch_progress(void *context, const TrainerProgress *progress)
{
    Watch *watch = context;
    array_push(&watch->run->losses, (float)progress->loss);
    watch->last_step = progress->step;
}

static TrainerStop watch_stop(void *context)
{
    const Watch *watch = context;
    return watch->stop_after_step && watch->last_step >= watch->stop_after_step ? TRAINER_INTERRUPTED : TRAINER_GO_ON;
}

static uint64_t watch_acknowledged(void *context)
{
    const Watch *watch = context;
    return watch->acknowledge_only ? watch->acknowledge_only : UINT64_MAX;
}

void run_trial(const Ground *ground, const Wish *wish, Run *run)
{
    Workplace workplace;
    Communicator *communicator = communicator_alone();
    Watch watch = {.run = run, .stop_after_step = wish->stop_after_step, .acknowledge_only = wish->acknowledge_only};
    *run = (Run){.store = path_join(ground->folder, wish->store)};
    ground_workplace(ground, communicator, wish->store, &workplace);
    workplace.product_type = wish->product_type;
    workplace.memory_limit_bytes = wish->memory_limit_bytes;
    TrialRequest request = {
        .id = {3, wish->fence},
        .options = ground_options(wish->options),
        .evaluate = !wish->no_evaluation,
        .resume = wish->resume,
        .host_files = wish->host_files,
        .hooks = {.context = &watch,
                  .on_progress = watch_progress,
                  .should_stop = watch_stop,
                  .acknowledged = watch_acknowledged,
                  .settle = watch_acknowledged},
        .clock = clock_system(),
    };
    strcpy(request.metric.dataset, wish->dataset ? wish->dataset : "mean");
    run->status = trial_train(&workplace, &request, &run->outcome, &run->diagnostic);
    workplace_close(&workplace);
    communicator_close(&communicator);
}

void run_free(Run *run)
{
    trial_outcome_free(&run->outcome);
    array_free(&run->losses);
    free(run->store);
}

void assert_same_file(const char *store_a, const char *name_a, const char *store_b, const char *name_b)
{
    char *a = manifest_text(store_a, name_a), *b = manifest_text(store_b, name_b);
    assert_string_equal(a, b);
    assert_non_null(strstr(a, "model.safetensors"));
    free(a);
    free(b);
}
