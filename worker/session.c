#include "worker/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/hash.h"
#include "worker/link.h"

enum {
    WAIT_MS = 200,
    FAREWELL_MS = 5000, /* an interrupted worker waits this long for its last message to be acknowledged */
    WORK_SIZE_LIMIT = 64 << 20,
};

/* What rank 0 tells the others to do next. */
typedef struct WorkWord {
    int64_t size; /* of the work's JSON; 0: the session ends */
    int64_t status;
} WorkWord;

/* One assignment as all ranks see it. */
typedef struct Work {
    AssignmentKind kind;
    TrialRequest request;
    char *resume;
    TrainingData data;
    char *data_text; /* as it came: another one means that shards and model are opened anew */
} Work;

typedef struct Session {
    Workplace *workplace;
    const SessionOptions *options;
    Link *link; /* rank 0 */
    bool is_first;
    char *data_text; /* of the workplace */
    AssignmentId current;
    bool interrupted; /* some rank was: the session ends */
} Session;

static bool is_interrupted(const Session *session)
{
    return session->interrupted || (session->options->interrupted && *session->options->interrupted);
}

/* -- hooks of the training loop */

static TrainerStop hook_should_stop(void *context)
{
    Session *session = context;
    if (session->link) {
        link_touch(session->link);
        if (!link_holds(session->link, session->current))
            return TRAINER_RELEASED;
    }
    return is_interrupted(session) ? TRAINER_INTERRUPTED : TRAINER_GO_ON;
}

static void hook_on_progress(void *context, const TrainerProgress *progress)
{
    Session *session = context;
    link_set_progress(session->link, progress->step, progress->total_steps, progress->loss, progress->pieces_per_s);
}

static uint64_t hook_acknowledged(void *context)
{
    Session *session = context;
    return link_acknowledged(session->link);
}

static uint64_t hook_settle(void *context)
{
    Session *session = context;
    while (!link_settle(session->link, WAIT_MS) && hook_should_stop(session) == TRAINER_GO_ON)
        ;
    return link_acknowledged(session->link);
}

static DatasetScore *copy_datasets(const DatasetScore *datasets, size_t count)
{
    DatasetScore *copy = memory_allocate(count + 1, sizeof *copy);
    memcpy(copy, datasets, count * sizeof *copy);
    return copy;
}

static Status hook_on_evaluation(void *context, const TrialState *state, Diagnostic *diagnostic)
{
    Session *session = context;
    const TrialEvaluation *last = trial_state_last(state);
    (void)diagnostic;
    Message message = {.type = MESSAGE_REPORT};
    message.report = (MessageReport){
        .id = session->current,
        .sequence = state->evaluations.count,
        .step = last->step,
        .total_steps = state->total_steps,
        .epoch = last->epoch,
        .train_loss = last->train_loss,
        .learning_rate = last->learning_rate,
        .datasets = copy_datasets(last->datasets, last->dataset_count),
        .dataset_count = last->dataset_count,
        .score = last->score,
        .checkpoint = memory_copy_string(last->checkpoint),
    };
    link_send(session->link, &message);
    return STATUS_OK;
}

/* -- assignments */

static Json *work_json(const Message *assign, const Message *welcome)
{
    Json *json = json_object();
    json_set(json, "kind", json_integer(assign->assign.kind));
    json_set(json, "trial", json_integer(assign->assign.id.trial));
    json_set(json, "fence", json_integer((int64_t)assign->assign.id.fence));
    json_set(json, "options", json_string(assign->assign.options_json ? assign->assign.options_json : "{}"));
    json_set(json, "metric", json_string(assign->assign.metric_json ? assign->assign.metric_json : "{}"));
    json_set(json, "resume", json_string(assign->assign.resume ? assign->assign.resume : ""));
    json_set(json, "data", json_string(welcome->welcome.data_json ? welcome->welcome.data_json : "{}"));
    json_set(json, "sweep_folder", json_string(welcome->welcome.sweep_folder ? welcome->welcome.sweep_folder : ""));
    return json;
}

static Status parse_inner(const Json *work, const char *key, Json **json, Diagnostic *diagnostic)
{
    const char *text = json_string_value(json_get(work, key));
    return json_parse(json, text ? text : "", text ? strlen(text) : 0, key, diagnostic);
}

static Status work_parse(Work *work, const Json *json, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    Json *options = NULL, *metric = NULL, *data = NULL;
    const char *resume, *folder, *data_text;
    int64_t kind, trial, fence;
    TRY(json_require_integer(json, "kind", "assignment", ASSIGNMENT_TRAIN, ASSIGNMENT_TEST, &kind, diagnostic));
    TRY(json_require_integer(json, "trial", "assignment", 0, UINT32_MAX, &trial, diagnostic));
    TRY(json_require_integer(json, "fence", "assignment", 1, INT64_MAX, &fence, diagnostic));
    work->kind = (AssignmentKind)kind;
    work->request.id = (AssignmentId){(uint32_t)trial, (uint64_t)fence};
    TRY(json_require_string(json, "resume", "assignment", &resume, diagnostic));
    TRY(json_require_string(json, "sweep_folder", "assignment", &folder, diagnostic));
    TRY(json_require_string(json, "data", "assignment", &data_text, diagnostic));
    work->resume = memory_copy_string(resume);
    work->data_text = memory_format("%s %s", folder, data_text);
    TRY(parse_inner(json, "options", &options, diagnostic));
    TRY(parse_inner(json, "metric", &metric, diagnostic));
    TRY(parse_inner(json, "data", &data, diagnostic));
    TRY(options_from_json(training_option_table(), &work->request.options, options, "assignment's options", diagnostic));
    TRY(trial_metric_parse(&work->request.metric, metric, "assignment's metric", diagnostic));
    TRY(training_data_parse(&work->data, data, folder[0] ? folder : NULL, "coordinator's data", diagnostic));
    work->request.evaluate = true;
    work->request.resume = work->resume;
out:
    json_destroy(&options);
    json_destroy(&metric);
    json_destroy(&data);
    return status;
}

static void work_free(Work *work)
{
    free(work->resume);
    free(work->data_text);
    training_data_free(&work->data);
}

/* By rank 0: the next assignment as text, or NULL when the session ends with *status. */
static char *wait_for_work(Session *session, Status *status, Diagnostic *diagnostic)
{
    char *text = NULL;
    while (!text) {
        Message assign = {0}, welcome = {0};
        Diagnostic why = {0};
        if (is_interrupted(session)) {
            *status = FAIL(diagnostic, STATUS_INTERRUPTED, "interrupted while waiting for work");
            return NULL;
        }
        LinkEvent event = link_wait(session->link, WAIT_MS, &assign, &why);
        if (event == LINK_ENDED) {
            *status = why.code;
            if (diagnostic)
                *diagnostic = why;
            return NULL;
        }
        if (event == LINK_NOTHING)
            continue;
        session->current = assign.assign.id;
        link_welcome(session->link, &welcome);
        Json *json = work_json(&assign, &welcome);
        text = json_text(json, JSON_COMPACT);
        json_destroy(&json);
        message_free(&assign);
        message_free(&welcome);
    }
    return text;
}

/* All ranks get the next work; *goes_on is false, with the session's status, when there is none. */
static Status receive_work(Session *session, Work *work, bool *goes_on, Diagnostic *diagnostic)
{
    Communicator *communicator = session->workplace->communicator;
    Status status = STATUS_OK;
    char *text = NULL;
    Json *json = NULL;
    WorkWord word = {0};
    *goes_on = false;
    *work = (Work){0};
    if (session->is_first) {
        text = wait_for_work(session, &status, diagnostic);
        word = (WorkWord){text ? (int64_t)strlen(text) : 0, status};
    }
    communicator_broadcast_idle(communicator, &word, sizeof word, 0);
    if (word.size == 0) {
        status = (Status)word.status;
        if (!session->is_first && status != STATUS_OK)
            status = FAIL(diagnostic, status, "the session ended on rank 0");
        return status;
    }
    ASSERT(word.size <= WORK_SIZE_LIMIT);
    *goes_on = true;
    if (!text)
        text = memory_allocate((size_t)word.size + 1, 1);
    communicator_broadcast(communicator, text, (size_t)word.size, 0);
    TRY(json_parse(&json, text, (size_t)word.size, "assignment", diagnostic));
    TRY(work_parse(work, json, diagnostic));
out:
    json_destroy(&json);
    free(text);
    return status;
}

static Status take_data(Session *session, const Work *work, Diagnostic *diagnostic)
{
    if (session->data_text && strcmp(session->data_text, work->data_text) == 0)
        return STATUS_OK;
    free(session->data_text);
    session->data_text = NULL;
    Status status = workplace_set_data(session->workplace, &work->data, diagnostic);
    if (status == STATUS_OK)
        session->data_text = memory_copy_string(work->data_text);
    return status;
}

static FinishOutcome finish_outcome(Status status)
{
    if (status == STATUS_OK)
        return FINISH_COMPLETED;
    if (status == STATUS_INTERRUPTED)
        return FINISH_INTERRUPTED;
    return status_class(status) == STATUS_CLASS_INPUT ? FINISH_FAILED : FINISH_WORKER_FAULT;
}

/* By rank 0. */
static void send_finished(Session *session, const Work *work, Status status, const TrialOutcome *outcome, const DatasetScore *test,
                          const Diagnostic *diagnostic)
{
    char reason[DIAGNOSTIC_MESSAGE_SIZE + DIAGNOSTIC_PLACE_SIZE] = "";
    if (status != STATUS_OK)
        diagnostic_format(diagnostic, reason, sizeof reason);
    Json *statistics = trial_statistics_json(session->workplace, outcome);
    bool scored = work->kind == ASSIGNMENT_TEST && status == STATUS_OK;
    Message message = {.type = MESSAGE_FINISHED};
    message.finished = (MessageFinished){
        .id = work->request.id,
        .outcome = finish_outcome(status),
        .reason = memory_copy_string(reason),
        .diverged = status == STATUS_DIVERGED,
        .datasets = copy_datasets(test, scored ? 1 : 0),
        .dataset_count = scored ? 1 : 0,
        .statistics_json = json_text(statistics, JSON_COMPACT),
    };
    json_destroy(&statistics);
    link_send(session->link, &message);
    int64_t waited_ms = 0;
    while (!link_settle(session->link, WAIT_MS) && link_holds(session->link, work->request.id) &&
           (!is_interrupted(session) || waited_ms < FAREWELL_MS)) {
        link_touch(session->link);
        waited_ms += WAIT_MS;
    }
}

/* One assignment from start to FINISHED. Only what ends the session is returned. */
static Status do_work(Session *session, Work *work, Status received, Diagnostic *diagnostic)
{
    Communicator *communicator = session->workplace->communicator;
    TrialOutcome outcome = {.training.state.best = -1};
    DatasetScore test = {0};
    TrainerStop stop = TRAINER_GO_ON;
    session->current = work->request.id;
    work->request.clock = session->options->clock;
    work->request.hooks = (TrainerHooks){.context = session, .should_stop = hook_should_stop};
    if (session->is_first) {
        work->request.hooks.on_evaluation = hook_on_evaluation;
        work->request.hooks.acknowledged = hook_acknowledged;
        work->request.hooks.settle = hook_settle;
        work->request.hooks.on_progress = hook_on_progress;
    }
    Status status = communicator_agree(communicator, received, &(int64_t){0}, diagnostic);
    if (status == STATUS_OK)
        status = take_data(session, work, diagnostic);
    if (status == STATUS_OK)
        workplace_choose_precision(session->workplace, work->resume);
    if (status == STATUS_OK && session->is_first)
        LOG_INFO("trial %" PRIu32 " (fence %" PRIu64 "): %s%s%s", work->request.id.trial, work->request.id.fence,
                 work->kind == ASSIGNMENT_TEST ? "test" : "train", work->resume[0] ? " from " : "", work->resume);
    if (status == STATUS_OK && work->kind == ASSIGNMENT_TEST) {
        status = trial_test(session->workplace, &work->request, work->resume, &test, &stop, diagnostic);
    } else if (status == STATUS_OK) {
        status = trial_train(session->workplace, &work->request, &outcome, diagnostic);
        stop = outcome.training.stop;
    }
    if (session->is_first && status != STATUS_OK && status != STATUS_INTERRUPTED)
        log_diagnostic(LOG_ERROR, diagnostic);
    bool released = status == STATUS_INTERRUPTED && stop == TRAINER_RELEASED;
    session->interrupted |= stop == TRAINER_INTERRUPTED;
    if (session->is_first && !released)
        send_finished(session, work, status, &outcome, &test, diagnostic);
    trial_outcome_free(&outcome);
    return STATUS_OK;
}

static void fill_hello(const Session *session, MessageHello *hello)
{
    const Workplace *workplace = session->workplace;
    uint32_t random;
    random_bytes(&random, sizeof random);
    *hello = (MessageHello){
        .pid = (int32_t)getpid(), .ranks = communicator_size(workplace->communicator), .threads_per_rank = workplace->threads};
    if (gethostname(hello->host, sizeof hello->host - 1) != 0)
        snprintf(hello->host, sizeof hello->host, "unknown");
    snprintf(hello->worker, sizeof hello->worker, "%.40s-%d-%08" PRIx32, hello->host, (int)hello->pid, random);
    workplace->backend->device_describe(workplace->device, hello->backend, sizeof hello->backend);
    snprintf(hello->software, sizeof hello->software, "%s", NERSWEEP_VERSION);
}

Status session_run(Workplace *workplace, const SessionOptions *options, Diagnostic *diagnostic)
{
    Session session = {.workplace = workplace, .options = options, .is_first = communicator_rank(workplace->communicator) == 0};
    Status status = STATUS_OK;
    if (session.is_first) {
        LinkOptions link = {.address = options->coordinator,
                            .sweep_folder = options->sweep_folder,
                            .key_file = options->key_file,
                            .insecure = options->insecure,
                            .give_up_ms = options->give_up_ms,
                            .clock = options->clock};
        fill_hello(&session, &link.hello);
        status = link_start(&session.link, &link, diagnostic);
    }
    TRY(communicator_agree(workplace->communicator, status, &(int64_t){0}, diagnostic));
    for (bool goes_on = true; goes_on && status == STATUS_OK;) {
        Work work;
        status = receive_work(&session, &work, &goes_on, diagnostic);
        if (goes_on)
            status = do_work(&session, &work, status, diagnostic);
        work_free(&work);
    }
out:
    link_stop(&session.link);
    free(session.data_text);
    return status;
}
