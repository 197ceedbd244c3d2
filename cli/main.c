/* `nersweep`: finds the subcommand and runs it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "core/base/log.h"

static const Command *const commands[] = {
    &command_run,     &command_train,       &command_predict, &command_eval,  &command_status,   &command_watch,
    &command_best,    &command_pull,        &command_lint,    &command_stats, &command_tokenize, &command_shard,
    &command_inspect, &command_coordinator, &command_doctor,  &command_fetch, &command_convert,  &command_journal,
    &command_keys,
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_overview(FILE *stream)
{
    fprintf(stream, "nersweep " NERSWEEP_VERSION ": fine-tunes BERT for named-entity recognition over a sweep of settings\n\n"
                    "usage: nersweep COMMAND [ARGUMENTS]\n\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(stream, "\nnersweep COMMAND --help tells more. Environment: NERSWEEP_LOG=debug|info|warning|error, "
                    "NERSWEEP_LOG_JSON=1, NO_COLOR.\n");
}

static bool set_up_log(void)
{
    const char *level_name = getenv("NERSWEEP_LOG"), *json = getenv("NERSWEEP_LOG_JSON");
    LogLevel level = LOG_INFO;
    log_set_name("nersweep");
    if (level_name && !log_parse_level(level_name, &level)) {
        fprintf(stderr, "nersweep: NERSWEEP_LOG=%s is none of debug, info, warning, error, silent\n", level_name);
        return false;
    }
    log_set_level(level);
    log_set_json(json && strcmp(json, "1") == 0);
    return true;
}

static int run_command(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_overview(argc < 2 ? stderr : stdout);
        return argc < 2 ? status_exit_code(STATUS_USAGE) : 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("nersweep " NERSWEEP_VERSION);
        return 0;
    }
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i]->name) == 0)
            return commands[i]->run(commands[i], argc - 2, argv + 2);
    fprintf(stderr, "nersweep: there is no command \"%s\"; nersweep --help lists them\n", argv[1]);
    return status_exit_code(STATUS_USAGE);
}

int main(int argc, char **argv)
{
    Diagnostic diagnostic = {0};
    signal(SIGPIPE, SIG_IGN);
    if (!set_up_log())
        return status_exit_code(STATUS_USAGE);
    int code = run_command(argc, argv);
    /* A command that failed has said why. */
    return command_flush(&diagnostic) == STATUS_OK || code != 0 ? code : command_fail(&diagnostic);
}
