/* nersweep-worker: one rank of a worker group (worker/README.md). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/options/options.h"
#include "worker/job.h"
#include "worker/session.h"

typedef struct WorkerFlags {
    char *coordinator, *sweep, *key, *job, *result, *backend, *log_level;
    int64_t ranks, threads, give_up;
    bool insecure, log_json, help, version;
} WorkerFlags;

#define FLAG(field) .name = #field, .offset = offsetof(WorkerFlags, field), .size = sizeof(((WorkerFlags *)NULL)->field)
static const OptionDescriptor worker_descriptors[] = {
    {FLAG(coordinator), .type = OPTION_STRING, .help = "address of the coordinator, e.g. tcp://HOST:PORT"},
    {FLAG(sweep), .type = OPTION_STRING, .help = "the sweep's folder: the coordinator is found through it, also after it moved"},
    {FLAG(key), .type = OPTION_STRING,
     .help = "worker.key of the coordinator's keys; default: that in keys/ of the sweep's folder"},
    {FLAG(insecure), .type = OPTION_BOOLEAN, .default_text = "false",
     .help = "speak with a coordinator on another machine without keys: everyone on the network can read and forge it"},
    {FLAG(job), .type = OPTION_STRING, .help = "one trial without a coordinator: the job file"},
    {FLAG(result), .type = OPTION_STRING, .help = "with --job: the result file to write"},
    {FLAG(ranks), .type = OPTION_INTEGER, .minimum = 0, .maximum = 65536, .default_text = "0",
     .help = "ranks that the group must have; 0: as many as it was started with"},
    {FLAG(threads), .type = OPTION_INTEGER, .minimum = 0, .maximum = 1024, .default_text = "0",
     .help = "CPU threads of each rank; 0: the processors that it may use"},
    {FLAG(backend), .type = OPTION_STRING, .help = "what computes: auto (default), cpu, reference"},
    {FLAG(give_up), .type = OPTION_INTEGER, .minimum = 1, .maximum = 1000000000, .default_text = "600",
     .help = "seconds without a coordinator after which the worker ends"},
    {FLAG(log_level), .type = OPTION_STRING, .help = "debug, info (default), warning, error, silent"},
    {FLAG(log_json), .type = OPTION_BOOLEAN, .default_text = "false", .help = "log JSON Lines"},
    {FLAG(help), .type = OPTION_BOOLEAN, .default_text = "false", .help = "print this"},
    {FLAG(version), .type = OPTION_BOOLEAN, .default_text = "false", .help = "print the version"},
};
static const OptionTable worker_table = {"Options", worker_descriptors, sizeof worker_descriptors / sizeof *worker_descriptors,
                                         sizeof(WorkerFlags)};

static volatile int interrupted; /* set by the signal handler alone */

static void on_signal(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static void print_help(void)
{
    Text text = {0};
    options_help(&worker_table, &text);
    printf("Usage: nersweep-worker --coordinator ADDRESS | --sweep FOLDER | --job FILE --result FILE [options]\n"
           "One rank of a worker group; groups of several ranks are started by mpirun or srun --mpi=pmix.\n\n%s",
           text.bytes ? text.bytes : "");
    text_free(&text);
}

static Status check_flags(const WorkerFlags *flags, const PositionalArray *positional, Diagnostic *diagnostic)
{
    LogLevel level;
    if (positional->count > 0)
        return FAIL(diagnostic, STATUS_USAGE, "\"%s\" is not expected here", positional->items[0]);
    int modes = (flags->coordinator || flags->sweep) + (flags->job != NULL);
    if (modes != 1)
        return FAIL(diagnostic, STATUS_USAGE, "one of --coordinator, --sweep and --job is needed%s", modes ? ", not several" : "");
    if ((flags->job != NULL) != (flags->result != NULL))
        return FAIL(diagnostic, STATUS_USAGE, "--job and --result belong together");
    if (flags->log_level && !log_parse_level(flags->log_level, &level))
        return FAIL(diagnostic, STATUS_USAGE, "--log-level %s is none of debug, info, warning, error, silent", flags->log_level);
    return STATUS_OK;
}

static void set_log(const WorkerFlags *flags, int32_t rank)
{
    LogLevel level;
    char name[32];
    snprintf(name, sizeof name, "worker/%d", rank);
    log_set_name(name);
    log_set_json(flags->log_json);
    if (flags->log_level && log_parse_level(flags->log_level, &level))
        log_set_level(level);
}

static Status run(const WorkerFlags *flags, Communicator *communicator, Diagnostic *diagnostic)
{
    Status status = STATUS_OK;
    char description[256] = "";
    Workplace workplace = {.work_lock = -1};
    WorkplaceOptions place = {.backend = flags->backend ? flags->backend : "auto", .threads = (int32_t)flags->threads};
    TRY(workplace_open(&workplace, communicator, &place, diagnostic));
    if (communicator_rank(communicator) == 0) {
        workplace.backend->device_describe(workplace.device, description, sizeof description);
        LOG_INFO("%d rank(s), %s", communicator_size(communicator), description);
    }
    if (flags->job) {
        JobOptions job = {
            .job_path = flags->job, .result_path = flags->result, .interrupted = &interrupted, .clock = clock_system()};
        TRY(job_run(&workplace, &job, diagnostic));
    } else {
        SessionOptions session = {.coordinator = flags->coordinator,
                                  .sweep_folder = flags->sweep,
                                  .key_file = flags->key,
                                  .insecure = flags->insecure,
                                  .give_up_ms = flags->give_up * 1000,
                                  .interrupted = &interrupted,
                                  .clock = clock_system()};
        TRY(session_run(&workplace, &session, diagnostic));
    }
out:
    workplace_close(&workplace);
    return status;
}

/* Every rank ends with the same status; one voice is enough. */
static void print_failure(const Diagnostic *diagnostic, bool is_first)
{
    char text[DIAGNOSTIC_MESSAGE_SIZE + DIAGNOSTIC_PLACE_SIZE];
    if (is_first)
        fprintf(stderr, "nersweep-worker: error: %s\n", diagnostic_format(diagnostic, text, sizeof text));
}

int main(int argc, char **argv)
{
    WorkerFlags flags = {0};
    PositionalArray positional = {0};
    Communicator *communicator = NULL;
    Diagnostic diagnostic = {0};
    OptionBinding binding = {&worker_table, &flags};
    Status status = STATUS_OK;
    options_set_defaults(&worker_table, &flags);
    TRY(options_parse_arguments(&binding, 1, argc - 1, argv + 1, &positional, &diagnostic));
    if (flags.help) {
        print_help();
        goto out;
    }
    if (flags.version) {
        puts("nersweep-worker " NERSWEEP_VERSION);
        goto out;
    }
    TRY(check_flags(&flags, &positional, &diagnostic));
    catch_signals();
    TRY(communicator_open(&communicator, (int32_t)flags.ranks, &diagnostic));
    set_log(&flags, communicator_rank(communicator));
    status = run(&flags, communicator, &diagnostic);
out:
    if (status != STATUS_OK) {
        print_failure(&diagnostic, !communicator || communicator_rank(communicator) == 0);
        communicator_linger();
    }
    communicator_close(&communicator);
    array_free(&positional);
    options_free(&worker_table, &flags);
    return status_exit_code(status);
}
