#include "shard/pipeline.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "core/base/memory.h"
#include "core/base/thread.h"

/* Of one slot. */
typedef struct Place {
    void *slot;
    bool is_read;                     /* ready for its turn */
    bool worked;                      /* ready to be finished */
    Status input_status, work_status; /* input: of fill or read, which came after all that the slot holds */
    Diagnostic input_diagnostic, work_diagnostic;
    size_t cost;
} Place;

/* Pieces are numbered in the order of the input; piece k is in place k % place_count. finished <= taken <= ordered <= reading <=
 * filled <= finished + place_count. */
typedef struct Pipeline {
    const PipelineStages *stages;
    Place *places;
    int64_t place_count;
    pthread_mutex_t lock; /* guards all that follows, and the places' state */
    pthread_cond_t changed;
    int64_t filled, reading, ordered, taken, finished;
    size_t cost;    /* of the pieces that are filled and not finished */
    bool filling;   /* somebody is */
    bool exhausted; /* there is nothing more to fill */
    bool broken;    /* the piece that was ordered last is followed by an error */
    bool over;
    Status status; /* of the run, with its diagnostic */
    Diagnostic diagnostic;
} Pipeline;

size_t pipeline_slot_count(int32_t threads)
{
    return 2 * (size_t)threads + 2;
}

int32_t pipeline_processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? count : 1;
}

/* The four steps are called with the lock held, and give it up while the stage runs. */

static void fill_next(Pipeline *pipeline)
{
    Place *place = &pipeline->places[pipeline->filled % pipeline->place_count];
    bool more = true;
    pipeline->filling = true;
    pthread_mutex_unlock(&pipeline->lock);
    place->is_read = place->worked = false;
    place->input_status = pipeline->stages->fill(pipeline->stages->context, place->slot, &more, &place->input_diagnostic);
    more = more || place->input_status != STATUS_OK;
    place->cost = more ? pipeline->stages->cost(pipeline->stages->context, place->slot) : 0;
    pthread_mutex_lock(&pipeline->lock);
    pipeline->filling = false;
    pipeline->exhausted |= !more || place->input_status != STATUS_OK;
    if (more) {
        pipeline->filled++;
        pipeline->cost += place->cost;
    }
}

static void read_next(Pipeline *pipeline)
{
    const PipelineStages *stages = pipeline->stages;
    Place *place = &pipeline->places[pipeline->reading++ % pipeline->place_count];
    Diagnostic diagnostic = {0};
    pthread_mutex_unlock(&pipeline->lock);
    Status status = stages->read(stages->context, place->slot, &diagnostic);
    if (status != STATUS_OK) {
        place->input_status = status;
        place->input_diagnostic = diagnostic;
    }
    pthread_mutex_lock(&pipeline->lock);
    place->is_read = true;
    pipeline->exhausted |= status != STATUS_OK;
    while (pipeline->ordered < pipeline->reading && !pipeline->broken) {
        place = &pipeline->places[pipeline->ordered % pipeline->place_count];
        if (!place->is_read)
            break;
        stages->order(stages->context, place->slot);
        pipeline->broken = place->input_status != STATUS_OK;
        pipeline->ordered++;
    }
}

static void work_next(Pipeline *pipeline)
{
    Place *place = &pipeline->places[pipeline->taken++ % pipeline->place_count];
    pthread_mutex_unlock(&pipeline->lock);
    place->work_status = pipeline->stages->work(pipeline->stages->context, place->slot, &place->work_diagnostic);
    pthread_mutex_lock(&pipeline->lock);
    place->worked = true;
}

static void finish_next(Pipeline *pipeline)
{
    Place *place = &pipeline->places[pipeline->finished % pipeline->place_count];
    Diagnostic diagnostic = place->work_diagnostic;
    Status status = place->work_status;
    pthread_mutex_unlock(&pipeline->lock);
    if (status == STATUS_OK)
        status = pipeline->stages->finish(pipeline->stages->context, place->slot, &diagnostic);
    if (status == STATUS_OK && place->input_status != STATUS_OK) {
        status = place->input_status;
        diagnostic = place->input_diagnostic;
    }
    pthread_mutex_lock(&pipeline->lock);
    pipeline->finished++;
    pipeline->cost -= place->cost;
    if (status != STATUS_OK) {
        pipeline->status = status;
        pipeline->diagnostic = diagnostic;
        pipeline->over = true;
    }
}

static bool may_fill(const Pipeline *pipeline)
{
    bool room = pipeline->filled - pipeline->finished < pipeline->place_count;
    bool cheap = pipeline->cost <= pipeline->stages->cost_limit || pipeline->filled == pipeline->finished;
    return !pipeline->filling && !pipeline->exhausted && room && cheap;
}

static void take_part(Pipeline *pipeline, bool finishes)
{
    pthread_mutex_lock(&pipeline->lock);
    while (!pipeline->over) {
        bool ready = pipeline->finished < pipeline->taken && pipeline->places[pipeline->finished % pipeline->place_count].worked;
        if (finishes && ready)
            finish_next(pipeline);
        else if (pipeline->taken < pipeline->ordered)
            work_next(pipeline);
        else if (pipeline->reading < pipeline->filled && !pipeline->broken)
            read_next(pipeline);
        else if (may_fill(pipeline))
            fill_next(pipeline);
        else if (pipeline->exhausted && !pipeline->filling && pipeline->finished == pipeline->filled)
            pipeline->over = true;
        else {
            pthread_cond_wait(&pipeline->changed, &pipeline->lock);
            continue;
        }
        pthread_cond_broadcast(&pipeline->changed);
    }
    pthread_mutex_unlock(&pipeline->lock);
}

static void *helper(void *pipeline)
{
    take_part(pipeline, false);
    return NULL;
}

Status pipeline_run(const PipelineStages *stages, void *const *slots, size_t slot_count, int32_t threads, Diagnostic *diagnostic)
{
    ASSERT(slot_count > 0 && threads > 0);
    Pipeline pipeline = {.stages = stages, .place_count = (int64_t)slot_count};
    pipeline.places = memory_allocate(slot_count, sizeof *pipeline.places);
    for (size_t i = 0; i < slot_count; i++)
        pipeline.places[i].slot = slots[i];
    pthread_mutex_init(&pipeline.lock, NULL);
    pthread_cond_init(&pipeline.changed, NULL);
    pthread_t *helpers = memory_allocate((size_t)threads, sizeof *helpers);
    int32_t started = 0;
    while (started < threads - 1 && thread_start(&helpers[started], helper, &pipeline) == 0)
        started++;
    if (started < threads - 1)
        LOG_WARNING("only %d of %d threads can be started", started + 1, threads);
    take_part(&pipeline, true);
    for (int32_t i = 0; i < started; i++)
        pthread_join(helpers[i], NULL);
    if (pipeline.status != STATUS_OK && diagnostic)
        *diagnostic = pipeline.diagnostic;
    pthread_cond_destroy(&pipeline.changed);
    pthread_mutex_destroy(&pipeline.lock);
    free(helpers);
    free(pipeline.places);
    return pipeline.status;
}
